"""How measured transfers lie around the model: the table of offload/transfer_spread.py."""

from __future__ import annotations

import numpy as np

from benchmarks.link_model_fit.transfers import Transfers
from offload.transfer_spread import LOSS_ABOVE, PROBABILITIES
from offload.types import FloatArray


def quantiles(transfers: Transfers, predicted_s: FloatArray) -> dict[str, FloatArray]:
    """Quantiles of ln(measured / predicted), for each congestion control a row a class of loss.

    Args:
        predicted_s: shape (transfers,).
    """
    ratio = np.log(transfers.seconds / predicted_s)
    loss_class = np.searchsorted(LOSS_ABOVE, transfers.loss, side="left")
    return {
        str(control): np.array(
            [
                np.quantile(
                    ratio[(transfers.control == control) & (loss_class == index)], PROBABILITIES
                )
                for index in range(len(LOSS_ABOVE) + 1)
            ]
        )
        for control in np.unique(transfers.control)[::-1]
    }
