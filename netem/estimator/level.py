"""The level of a noisy quantity that mostly stays, and at times jumps."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

from netem.estimator.decaying import DecayingMean

SLACK = 0.5
ALARM = 8.0
LARGEST = 5.0
"""CUSUM test (Page, 1954) on deviations in units of their standard deviation. With slack 0.5 and
alarm 8, steady normal noise sets it off about once in 10,000 samples (either side). As no deviation
counts for more than 5, one outlier never does, and two samples of a new level always do."""
WINSOR = 3.0
"""A sample moves the mean no more than one this many standard deviations away would."""
_SCATTER_SAMPLES = 20.0
_RUN_SAMPLES = 64


class _Sample(NamedTuple):
    at_s: float
    value: float
    sd: float


class _Run:
    """Samples since deviations to one side began to pile up."""

    def __init__(self) -> None:
        self.sum = 0.0
        self._samples: deque[tuple[float, _Sample]] = deque(maxlen=_RUN_SAMPLES)

    def add(self, deviation: float, sample: _Sample) -> bool:
        self.sum = max(0.0, self.sum + deviation - SLACK)
        if self.sum == 0.0:
            self._samples.clear()
        else:
            self._samples.append((deviation, sample))
        return self.sum > ALARM

    def of_new_level(self) -> list[_Sample]:
        """The samples of a run that ended in an alarm, less the chance deviations it began with."""
        least = min(deviation for deviation, _ in list(self._samples)[-2:]) / 2
        return [sample for deviation, sample in self._samples if deviation >= least]


class Level:
    """Follows a level: an average weighted by age and accuracy, begun anew where the level jumps.

    Args:
        memory_s: time in which a sample's weight falls by 1/e.
    """

    def __init__(self, memory_s: float) -> None:
        self._memory_s = memory_s
        self._begin()

    def _begin(self) -> None:
        self._mean = DecayingMean(self._memory_s)
        self._scatter = 1.0
        self._doubt = 0.0
        self._runs = (_Run(), _Run())

    @property
    def value(self) -> float:
        """The level; NaN before any sample."""
        return self._mean.value

    @property
    def at_s(self) -> float:
        """Time of the newest sample; minus infinity before any."""
        return self._mean.at_s

    @property
    def samples(self) -> float:
        """How many samples of equal weight the level rests on."""
        return self._mean.samples

    @property
    def sd(self) -> float:
        """Standard error of the level when its newest sample was taken; infinite before any.

        From the samples' own standard deviations, widened where they scatter by more than that,
        and by as much as the newest sample is off where it may be the first of another level.
        """
        return math.hypot(self._error, self._doubt)

    @property
    def _error(self) -> float:
        return math.sqrt(max(1.0, self._scatter) * self._mean.variance)

    def add(self, at_s: float, value: float, sd: float, *, may_jump: bool = True) -> list[float]:
        """Take a sample in.

        Args:
            at_s: when it was taken; not before the one before.
            value: the sample.
            sd: its standard deviation, above 0.
            may_jump: False: it moves the mean, but is no evidence of a jump.

        Returns:
            Where it made the level jump, the values it was begun anew from; else none.
        """
        if self._mean.samples == 0.0:
            self._fold(at_s, value, sd)
            return []
        widened = max(1.0, self._scatter)
        spread = math.hypot(sd * math.sqrt(widened), self._error)
        deviation = (value - self.value) / spread
        counted = max(-LARGEST, min(LARGEST, deviation))
        sample = _Sample(at_s, value, sd)
        for run, signed in zip(self._runs, (counted, -counted), strict=True):
            if may_jump and run.add(signed, sample):
                newest = run.of_new_level()
                self._begin()
                for entry in newest:
                    self._fold(*entry)
                return [entry.value for entry in newest]
        is_doubtful = max(run.sum for run in self._runs) > ALARM / 2
        self._doubt = abs(value - self.value) if is_doubtful else 0.0
        self._scatter += (widened * counted**2 - self._scatter) / _SCATTER_SAMPLES
        shortened = max(-WINSOR, min(WINSOR, deviation)) * spread
        self._fold(at_s, self.value + shortened, sd)
        return []

    def _fold(self, at_s: float, value: float, sd: float) -> None:
        self._mean.add(at_s, value, 1.0 / (sd * sd))
