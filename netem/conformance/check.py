"""One thing checked of a link: what was set, what was measured, and the bound it must keep."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """A measured value and its bound. Both ends of the bound are allowed.

    Attributes:
        trait: what of the link, e.g. ``one-way delay``.
        setting: how it was tried, in words.
        direction: ``up``, ``down`` or ``both``.
        unit: of the three values that follow; empty for a count.
        set_value: what was set.
        measured: what was measured; NaN where nothing arrived, which passes no bound.
        low: least that passes.
        high: most that passes.
        samples: packets, bursts, seconds' worth of segments or runs behind ``measured``.
        detail: what a reader must know beside it, e.g. the congestion control.
    """

    trait: str
    setting: str
    direction: str
    unit: str
    set_value: float
    measured: float
    low: float
    high: float
    samples: int
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Whether the bound is kept."""
        return math.isfinite(self.measured) and self.low <= self.measured <= self.high

    def __str__(self) -> str:
        where = self.trait if self.direction == "both" else f"{self.trait}, {self.direction}"
        unit = f" {self.unit}" if self.unit else ""
        return f"{where}: {self.measured:.4g}{unit}, bound {self.low:.4g} to {self.high:.4g}"


def within(
    set_value: float, *, absolute: float = 0.0, relative: float = 0.0
) -> tuple[float, float]:
    """The bound of that much on either side of ``set_value``."""
    slack = absolute + relative * abs(set_value)
    return set_value - slack, set_value + slack
