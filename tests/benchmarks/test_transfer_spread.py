"""The table of transfers' spread is what the measured transfers show, and draws follow it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.link_model_fit.fitting import predict
from benchmarks.link_model_fit.spread import quantiles
from benchmarks.link_model_fit.transfers import load_transfers
from offload.errors import UnknownNameError
from offload.transfer_spread import PROBABILITIES, QUANTILES, transfer_factor

MEASURED = Path(__file__).parents[2] / "docs" / "measured" / "transfers-uml.csv.gz"


def test_the_table_is_that_of_the_measured_transfers() -> None:
    transfers, _ = load_transfers(MEASURED)
    found = quantiles(transfers, predict(transfers))
    assert found.keys() == QUANTILES.keys()
    for control, rows in found.items():
        np.testing.assert_allclose(rows, QUANTILES[control], atol=5.1e-4)


@pytest.mark.parametrize("control", sorted(QUANTILES))
@pytest.mark.parametrize(("row", "loss"), [(0, 0.0), (1, 0.003), (2, 0.0031), (3, 0.3)])
def test_draws_have_the_quantiles_of_their_loss(control: str, row: int, loss: float) -> None:
    share = np.array(PROBABILITIES)
    factor = transfer_factor(share, np.full_like(share, loss), control)
    np.testing.assert_allclose(np.log(factor), QUANTILES[control][row])
    ends = transfer_factor(np.array([0.0, 1.0]), np.full(2, loss), control)
    np.testing.assert_allclose(np.log(ends), np.array(QUANTILES[control][row])[[0, -1]])


def test_a_block_of_transfers_each_has_its_own_loss() -> None:
    share, loss = np.full((2, 2), 0.95), np.array([[0.0, 0.1], [0.001, 0.01]])
    rows = np.array(QUANTILES["cubic"])[:, PROBABILITIES.index(0.95)]
    np.testing.assert_allclose(
        np.log(transfer_factor(share, loss, "cubic")), [[rows[0], rows[3]], [rows[1], rows[2]]]
    )


def test_an_unknown_congestion_control_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="bbr"):
        transfer_factor(np.zeros(1), np.zeros(1), "bbrr")
