"""What a report says in a sentence."""

from __future__ import annotations

import pytest

from client_library import TaskReport
from client_library.report import _quantity
from offload.types import Outcome, Placement, PlacementCost


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0 s"),
        (2e-8, "0.02 µs"),
        (0.000_045_6, "45.6 µs"),
        (0.000_999_6, "1.00 ms"),
        (0.0005, "500 µs"),
        (0.05, "50.0 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (9.996, "10.0 s"),
        (99.96, "100 s"),
        (1234.5, "1234 s"),
    ],
)
def test_three_digits_whatever_the_size(value, said):
    assert _quantity(value, "s") == said


def test_why_tells_small_predictions_apart():
    edge = PlacementCost(0.03, 0.0, 0.01, 0.01, 0.0, 0.002)
    here = PlacementCost(0.0, 0.0, 0.0003, 0.0, 0.0015, 0.0)
    report = TaskReport(
        b"", Outcome.LOCAL_OK, "device", 0.0004, True, here, here, edge, Placement.LOCAL,
        "ppo", 0.0, "", False,
    )  # fmt: skip
    assert report.why == (
        "ppo placed it on the device (predicted: 50.0 ms and 2.00 mJ at the edge, "
        "300 µs and 1.50 mJ here); done by the device after 400 µs"
    )
