"""What the server has learnt of each kind of task: how long it takes."""

from __future__ import annotations

import math

_NEWEST_WEIGHT = 0.2
"""Weight of the newest task in the moving means of task seconds."""
_PEAK_FADES = 0.95
"""What is left of the longest run after one more run."""
_RECENT_S = 10.0
"""A quickest run older than this says nothing of now."""
SHORT_S = 0.001
"""A kind whose runs all took less lately is short: waiting behind one costs next to nothing."""
_MAX_KINDS = 256


class _Kind:
    """One kind's moving mean, its fading longest run, and its quickest of late."""

    __slots__ = ("mean_s", "older_s", "peak_s", "quickest_s", "since_s")

    def __init__(self, seconds: float, now_s: float) -> None:
        self.mean_s = self.peak_s = self.quickest_s = seconds
        self.older_s = math.inf
        self.since_s = now_s


class Kinds:
    """Durations by kind, and over all kinds."""

    def __init__(self) -> None:
        self._kinds: dict[str, _Kind] = {}
        self.mean_s: float | None = None
        """The moving mean over all tasks that ended; None before any."""

    def note(self, kind: str, seconds: float, now_s: float) -> None:
        """A task of that kind has run."""
        mean_s = seconds if self.mean_s is None else self.mean_s
        self.mean_s = mean_s + _NEWEST_WEIGHT * (seconds - mean_s)
        known = self._kinds.get(kind)
        if known is None:
            if len(self._kinds) < _MAX_KINDS:
                self._kinds[kind] = _Kind(seconds, now_s)
            return
        known.mean_s += _NEWEST_WEIGHT * (seconds - known.mean_s)
        known.peak_s = max(seconds, known.peak_s * _PEAK_FADES)
        if now_s - known.since_s > _RECENT_S / 2:
            known.older_s, known.quickest_s = known.quickest_s, seconds
            known.since_s = now_s
        elif seconds < known.quickest_s:
            known.quickest_s = seconds

    def expected_s(self, kind: str, otherwise_s: float) -> float:
        """The moving mean of a kind's seconds."""
        known = self._kinds.get(kind)
        return otherwise_s if known is None else known.mean_s

    def quickest_s(self, kind: str, now_s: float) -> float:
        """The quickest run of that kind of late; 0 where there was none."""
        known = self._kinds.get(kind)
        if known is None or now_s - known.since_s > _RECENT_S:
            return 0.0
        return min(known.quickest_s, known.older_s)

    def is_short(self, kind: str) -> bool:
        """No run of that kind took long lately."""
        known = self._kinds.get(kind)
        return known is not None and known.peak_s <= SHORT_S
