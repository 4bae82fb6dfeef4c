"""How far real transfers are from the link model's seconds, which are those of a typical one.

Measured: quantiles of ln(measured / predicted) over all transfers of the campaign, by congestion
control and by loss, since it is loss that makes a transfer late: half of the transfers are within a
few percent to a quarter of the model, one in twenty takes about twice as long. What sets one link
apart from another at the same prediction is in here too, as far as the model misses it.
"""

from __future__ import annotations

import numpy as np

from offload.errors import UnknownNameError
from offload.types import FloatArray

LOSS_ABOVE = (0.0, 0.003, 0.02)
"""Bounds of the four classes: no loss, to 0.3 %, to 2 %, more."""
PROBABILITIES = (
    *(0.005, 0.025, 0.05, 0.1, 0.16, 0.25, 0.375),
    *(0.5, 0.625, 0.75, 0.84, 0.9, 0.95, 0.975, 0.995),
)
QUANTILES: dict[str, tuple[tuple[float, ...], ...]] = {
    "cubic": (
        (
            *(-0.902, -0.231, -0.150, -0.057, -0.026, 0.000, 0.003),
            *(0.017, 0.044, 0.105, 0.177, 0.304, 0.523, 0.716, 1.744),
        ),
        (
            *(-0.716, -0.437, -0.299, -0.166, -0.098, -0.054, -0.020),
            *(-0.001, 0.021, 0.086, 0.179, 0.293, 0.455, 0.693, 1.292),
        ),
        (
            *(-1.290, -0.485, -0.352, -0.229, -0.169, -0.098, -0.045),
            *(-0.011, 0.040, 0.117, 0.241, 0.354, 0.571, 0.895, 1.721),
        ),
        (
            *(-1.186, -0.763, -0.533, -0.399, -0.267, -0.171, -0.090),
            *(-0.039, 0.027, 0.194, 0.457, 0.658, 0.962, 1.376, 2.525),
        ),
    ),
    "bbr": (
        (
            *(-0.500, -0.310, -0.200, -0.117, -0.066, -0.018, 0.000),
            *(0.004, 0.021, 0.079, 0.175, 0.292, 0.594, 0.870, 1.519),
        ),
        (
            *(-0.347, -0.273, -0.224, -0.152, -0.102, -0.051, -0.012),
            *(-0.000, 0.010, 0.054, 0.133, 0.265, 0.605, 0.869, 1.420),
        ),
        (
            *(-0.844, -0.349, -0.238, -0.161, -0.108, -0.056, -0.024),
            *(-0.010, 0.018, 0.096, 0.251, 0.446, 0.783, 1.085, 3.261),
        ),
        (
            *(-0.576, -0.362, -0.287, -0.197, -0.129, -0.073, -0.044),
            *(-0.026, 0.001, 0.093, 0.235, 0.437, 0.767, 1.145, 2.755),
        ),
    ),
}
"""Of ``python benchmarks/fit_link_model.py``: a row a class of loss, a column a probability."""


def transfer_factor(share: FloatArray, loss: FloatArray, congestion_control: str) -> FloatArray:
    """Seconds of a transfer over the model's, so many of all being faster.

    Between the quantiles the logarithm goes straight; beyond the outermost it stays as there.

    Args:
        share: of transfers that are faster, in [0, 1]; drawn evenly, the factor is a random one.
        loss: share of packets lost, of ``share``'s shape.
        congestion_control: ``"cubic"`` or ``"bbr"``.

    Raises:
        UnknownNameError: another congestion control.
    """
    if congestion_control not in QUANTILES:
        raise UnknownNameError("congestion control", congestion_control, QUANTILES)
    loss_class = np.searchsorted(LOSS_ABOVE, loss, side="left")
    log_factor = np.empty_like(share)
    for index, row in enumerate(QUANTILES[congestion_control]):
        mine = loss_class == index
        log_factor[mine] = np.interp(share[mine], PROBABILITIES, row)
    return np.exp(log_factor)
