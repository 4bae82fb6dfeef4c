"""Round-trip time and jitter, from single round trips."""

from __future__ import annotations

import math
import statistics

from netem.estimator.decaying import DecayingMean
from netem.estimator.level import LARGEST, Level

MEMORY_S = 30.0
JITTER_MEMORY_S = 60.0
_FIRST_SAMPLES = 5
_LEAST_JITTER_S = 20e-6
"""Below this, what differs is the clocks and the processors, not the link."""


class RoundTripTracker:
    """RTT as a level, jitter as the standard deviation around it.

    Attributes:
        at_s: time of the newest sample; minus infinity before any.
    """

    def __init__(self) -> None:
        self.at_s = -math.inf
        self._first: list[float] = []
        self._forget()

    @property
    def samples(self) -> float:
        """How many samples of equal weight the RTT rests on."""
        return len(self._first) or self._level.samples

    @property
    def rtt_s(self) -> float:
        """Mean round-trip time; NaN before any sample."""
        return statistics.fmean(self._first) if self._first else self._level.value

    @property
    def rtt_sd_s(self) -> float:
        """Standard error of :attr:`rtt_s`."""
        if not self._first:
            return self._level.sd
        few = len(self._first)
        return statistics.stdev(self._first) / math.sqrt(few) if few > 1 else math.inf

    @property
    def jitter_s(self) -> float:
        """Standard deviation of the round-trip time; NaN below two samples."""
        if len(self._first) > 1:
            return statistics.stdev(self._first)
        return math.sqrt(self._squares.value)

    @property
    def jitter_sd_s(self) -> float:
        """Standard error of :attr:`jitter_s`, for normal jitter: sigma / sqrt(2 n)."""
        samples = len(self._first) or self._squares.samples
        return self.jitter_s / math.sqrt(2 * samples) if samples > 1 else math.inf

    def add(self, at_s: float, rtt_s: float, extra_sd_s: float = 0.0) -> None:
        """Take in a round trip.

        Args:
            at_s: when its answer arrived.
            rtt_s: how long it took.
            extra_sd_s: what its timing adds to the link's jitter; such a sample counts for the RTT
                alone, and for nothing before there is a jitter to weigh it against.
        """
        if self._level.samples == 0.0 and extra_sd_s > 0.0:
            return
        self.at_s = at_s
        if self._level.samples == 0.0:
            self._first.append(rtt_s)
            self._begin(at_s)
            return
        jitter_s = max(self.jitter_s, _LEAST_JITTER_S)
        before_s, samples = self._level.value, self._level.samples
        # Two programs busy, or a segment lost twice, is no other link.
        is_ping = extra_sd_s == 0.0
        sd_s = math.hypot(jitter_s, extra_sd_s)
        jumped_to = self._level.add(at_s, rtt_s, sd_s, may_jump=is_ping)
        if jumped_to:  # another link, as it were: its jitter is unknown
            self._forget()
            self._first = jumped_to
            self._begin(at_s)
        elif is_ping:
            # Against the mean without it, which errs by 1/n of the variance itself.
            square = (rtt_s - before_s) ** 2 / (1.0 + 1.0 / samples)
            self._squares.add(at_s, min(square, (LARGEST * jitter_s) ** 2))

    def _forget(self) -> None:
        self._level = Level(MEMORY_S)
        self._squares = DecayingMean(JITTER_MEMORY_S)

    def _begin(self, at_s: float) -> None:
        if len(self._first) < _FIRST_SAMPLES:
            return
        first, self._first = self._first, []
        square = statistics.variance(first)
        for rtt_s in first:
            self._level.add(at_s, rtt_s, max(math.sqrt(square), _LEAST_JITTER_S))
        for _ in range(len(first) - 1):  # as many as the variance has degrees of freedom
            self._squares.add(at_s, square)
