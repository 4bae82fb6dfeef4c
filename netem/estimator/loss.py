"""The share of packets that one direction of a link loses, from counts of probes."""

from __future__ import annotations

import math
from collections import deque

MEMORY_PACKETS = 1000.0
"""A plain average up to so many packets; from then on a packet's weight falls by 1/e in as many."""
MEMORY_S = 600.0
_RECENT_PACKETS = 60
_CHANCE = 1e-5
"""A change is believed where the counts had a smaller chance than this without one."""


class LossTracker:
    """Counts packets and losses of one direction; recent ones weigh more.

    Losses in bursts tell less than as many single ones, so bursts (losses between two answered
    probes) are counted too. Where bursts come far more often than they did, or stop for far longer,
    the older counts are forgotten.
    """

    def __init__(self) -> None:
        self._sent = self._lost = self._bursts = 0.0
        self._total = 0.0
        self._recent: deque[tuple[float, float]] = (
            deque()
        )  # (packets before it, lost), a burst each
        self._since_burst = 0.0
        self.at_s = -math.inf

    @property
    def samples(self) -> float:
        """Packets the estimate rests on."""
        return self._sent

    @property
    def loss(self) -> float:
        """Share lost; NaN before any packet."""
        return self._lost / self._sent if self._sent else math.nan

    @property
    def sd(self) -> float:
        """Standard error of the share; infinite before any packet.

        A two-state (Gilbert-Elliott) chain with mean burst length b widens the binomial variance by
        (2 - p - r) / (p + r), r = 1/b. Half a burst is added, or none seen would pass for
        certainty.
        """
        if not self._sent:
            return math.inf
        leave = min(1.0, self._bursts / self._lost) if self._lost else 1.0
        share = min(0.999, (self._lost + 0.5 / max(leave, 1e-3)) / (self._sent + 1.0))
        enter = leave * share / (1.0 - share)
        widened = max(1.0, (2.0 - enter - leave) / (enter + leave))
        return math.sqrt(share * (1.0 - share) * widened / self._sent)

    def add(self, at_s: float, sent: float, lost: float) -> None:
        """Take in ``sent`` packets in a row, ``lost`` of them lost in one burst (or none)."""
        if sent <= 0:
            return
        lost = max(0.0, min(lost, sent))
        faded = math.exp(-max(0.0, at_s - self.at_s) / MEMORY_S) if self._sent else 1.0
        faded *= min(1.0, MEMORY_PACKETS / (faded * self._sent + sent))
        self._sent = faded * self._sent + sent
        self._lost = faded * self._lost + lost
        self._bursts = faded * self._bursts + (lost > 0)
        self._total += sent
        self._since_burst = 0.0 if lost else self._since_burst + sent
        self.at_s = at_s
        while self._recent and self._recent[0][0] < self._total - _RECENT_PACKETS:
            self._recent.popleft()
        if lost:
            self._recent.append((self._total, lost))
        if self._total > 2 * _RECENT_PACKETS:
            self._notice_change()

    def take_back(self) -> None:
        """A packet counted as lost was only late."""
        self._lost = max(0.0, self._lost - 1.0)

    def _notice_change(self) -> None:
        seen = len(self._recent)
        older = max(0.0, self._bursts - seen) + 0.5  # none seen is not certainty
        expected = older * _RECENT_PACKETS / max(1.0, self._sent - _RECENT_PACKETS)
        if seen >= 3 and _poisson_tail(seen, expected) < _CHANCE:
            self._sent = float(_RECENT_PACKETS)
            self._lost = math.fsum(lost for _, lost in self._recent)
            self._bursts = float(seen)
            return
        # The chance of none in a run of packets, given the count before it (Poisson, gamma prior).
        before = self._sent - self._since_burst
        if before > 0 and (before / self._sent) ** (self._bursts + 0.5) < _CHANCE:
            self._sent, self._lost, self._bursts = self._since_burst, 0.0, 0.0


def _poisson_tail(count: int, mean: float) -> float:
    """Chance of ``count`` or more events where ``mean`` are expected."""
    below = math.fsum(math.exp(-mean) * mean**k / math.factorial(k) for k in range(count))
    return max(0.0, 1.0 - below)
