from __future__ import annotations

import pytest

from client_library.known_link import ASSUMED, KnownLink
from client_library.predictions import Predictions
from offload.errors import ConfigError
from offload.tasks.profile_table import load_profile_table
from offload.types import NEVER_S, LinkState

NAN = float("nan")


def test_the_projects_own_tasks_are_known_from_the_table():
    row = next(row for row in load_profile_table().rows if row.kind == "lzma")
    predicted = Predictions(slowdown=3.0).of("lzma", int(row.input_bytes))
    assert predicted.edge_s == pytest.approx(row.edge_s)
    assert predicted.local_s == pytest.approx(3.0 * row.edge_s)
    assert predicted.output_bytes == pytest.approx(row.output_bytes)
    assert not predicted.is_guess


def test_an_unknown_kind_is_a_guess_until_one_side_was_tried():
    predictions = Predictions(slowdown=4.0)
    assert predictions.of("mine", 100).is_guess
    predictions.saw("mine", 100, "device", 0.8, 50)
    known = predictions.of("mine", 100)
    assert (known.is_guess, known.output_bytes) == (False, pytest.approx(50))
    assert (known.local_s, known.edge_s) == (pytest.approx(0.8), pytest.approx(0.2))
    predictions.saw("mine", 100, "edge", 0.1, 50)
    assert predictions.of("mine", 100).edge_s == pytest.approx(0.1)


def test_the_second_run_replaces_the_first_which_loaded_models():
    predictions = Predictions(slowdown=1.0)
    for seconds in (5.0, 1.0):
        predictions.saw("mine", 100, "device", seconds, 1)
    assert predictions.of("mine", 100).local_s == pytest.approx(1.0)
    predictions.saw("mine", 100, "device", 2.0, 1)
    assert predictions.of("mine", 100).local_s == pytest.approx(2.0**0.3)  # geometric, weight 0.3


def test_sizes_are_kept_apart_and_the_nearest_serves():
    predictions = Predictions(slowdown=1.0)
    predictions.saw("mine", 1000, "device", 0.1, 1)
    predictions.saw("mine", 1_000_000, "device", 9.0, 1)
    seconds = [predictions.of("mine", size).local_s for size in (10, 1200, 400_000, 10**8)]
    assert seconds == pytest.approx([0.1, 0.1, 9.0, 9.0])


def test_what_the_caller_says_counts_until_it_is_measured():
    predictions = Predictions(slowdown=2.0)
    predictions.expect("mine", 100, 0.5)
    predictions.expect("mine", 100, 7.0)  # said before
    assert predictions.of("mine", 100).local_s == pytest.approx(0.5)
    predictions.saw("mine", 100, "device", 0.3, 1)
    predictions.expect("mine", 100, 7.0)
    assert predictions.of("mine", 100).local_s == pytest.approx(0.3)
    for bad in (0.0, -1.0, NAN, float("inf")):
        with pytest.raises(ConfigError, match="local_s"):
            predictions.expect("other", 100, bad)


class Measured:
    def __init__(self, link: LinkState) -> None:
        self.link = link

    def state(self) -> LinkState:
        return self.link


def test_what_was_never_measured_of_the_link_is_assumed():
    unknown = LinkState(NAN, NAN, 0.0, NAN, NAN, float("inf"))
    assert KnownLink(Measured(unknown)).state() == LinkState(
        ASSUMED.rtt_s, ASSUMED.jitter_s, 0.0, ASSUMED.uplink_bps, ASSUMED.downlink_bps, NEVER_S
    )
    partly = KnownLink(Measured(LinkState(0.2, 0.01, 0.1, 3e6, NAN, 4.0)))
    assert partly.state() == LinkState(0.2, 0.01, 0.1, 3e6, ASSUMED.downlink_bps, 4.0)
    fast = KnownLink(Measured(LinkState(0.001, 0.0, 0.0, 5e8, NAN, 1.0)))
    assert fast.state().downlink_bps == 5e8
    whole = LinkState(0.2, 0.01, 0.1, 3e6, 4e6, 4.0)
    assert KnownLink(Measured(whole)).state() == whole
