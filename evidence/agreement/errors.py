"""How far predictions are from measurements, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from offload.types import FloatArray

GOAL_MEDIAN = 0.10
GOAL_P90 = 0.25
GOAL_ACCURACY_GAP = 0.02
"""What simulated and measured are to agree within."""


@dataclass(frozen=True, slots=True)
class Errors:
    """Of several predictions.

    Attributes:
        n: how many.
        median, p90: of |predicted / measured - 1|.
        bias: median of ln(predicted / measured); None where something predicted is 0.
        spread: standard deviation of the same; None likewise.
        median_off_s: median of |predicted - measured|.
        median_measured_s: median of what was measured.
    """

    n: int
    median: float
    p90: float
    bias: float | None
    spread: float | None
    median_off_s: float
    median_measured_s: float

    @property
    def within_goal(self) -> bool:
        """Both errors are within the goal."""
        return self.median <= GOAL_MEDIAN and self.p90 <= GOAL_P90

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def errors_of(predicted_s: Sequence[float], measured_s: Sequence[float]) -> Errors:
    """Compare equally many predictions and measurements, at least one; measured above 0."""
    predicted, measured = np.asarray(predicted_s, float), np.asarray(measured_s, float)
    relative = np.abs(predicted / measured - 1.0)
    bias = spread = None
    if (predicted > 0.0).all():
        ratios = np.log(predicted / measured)
        bias, spread = float(np.median(ratios)), float(ratios.std())
    return Errors(
        n=len(measured),
        median=float(np.median(relative)),
        p90=float(np.percentile(relative, 90)),
        bias=bias,
        spread=spread,
        median_off_s=float(np.median(np.abs(predicted - measured))),
        median_measured_s=float(np.median(measured)),
    )


def luck(predicted_s: FloatArray, drawn_s: FloatArray) -> tuple[float, float]:
    """Median and p90 error that the simulator itself expects, by what it draws around its model.

    Args:
        predicted_s: shape (n, 1) or (n, worlds).
        drawn_s: shape (n, worlds).
    """
    relative = np.abs(predicted_s / drawn_s - 1.0)
    return float(np.median(relative)), float(np.percentile(relative, 90))
