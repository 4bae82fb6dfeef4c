"""Averages whose samples lose weight with age."""

from __future__ import annotations

import math


class DecayingMean:
    """A weighted mean; a sample's weight falls by 1/e in ``memory_s``.

    Attributes:
        value: the mean; NaN before any sample.
        at_s: time of the newest sample; minus infinity before any.
    """

    def __init__(self, memory_s: float) -> None:
        self._memory_s = memory_s
        self._weight = 0.0
        self._squares = 0.0
        self._variances = 0.0
        self.value = math.nan
        self.at_s = -math.inf

    def add(self, at_s: float, value: float, weight: float = 1.0) -> None:
        """Take a sample in; weights in inverse proportion to its variance are best."""
        kept = math.exp(-max(0.0, at_s - self.at_s) / self._memory_s)
        self._squares = kept * kept * self._squares + weight * weight
        self._variances = kept * kept * self._variances + weight
        before, self._weight = kept * self._weight, kept * self._weight + weight
        if before == 0.0:
            self.value = value
        else:
            self.value += (value - self.value) * weight / self._weight
        self.at_s = max(self.at_s, at_s)

    @property
    def samples(self) -> float:
        """How many samples of equal weight the mean is worth (Kish); age takes nothing off it."""
        return self._weight**2 / self._squares if self._squares else 0.0

    @property
    def variance(self) -> float:
        """The mean's own, where each weight is 1 / its sample's variance; infinite before any."""
        return self._variances / self._weight**2 if self._weight else math.inf
