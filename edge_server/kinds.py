"""What the server has learnt of each kind of task: how long it takes."""

from __future__ import annotations

import math

UNKNOWN_S = 0.02
"""What a task is charged whose kind has never run."""
SHORT_S = 0.001
"""A kind whose runs all took less lately is short: waiting behind one costs next to nothing."""
_NEWEST_WEIGHT = 0.2
"""Weight of the newest task in the moving means of task seconds."""
_PEAK_FADES = 0.95
"""What is left of the longest run after one more run."""
_RECENT_S = 10.0
"""A quickest run older than this says nothing of now."""
_MAX_KINDS = 256


class Kind:
    """How long one kind of task takes.

    Attributes:
        mean_s: moving mean.
        is_short: no run took long lately.
    """

    __slots__ = ("_older_s", "_peak_s", "_quickest_s", "_since_s", "is_short", "mean_s")

    def __init__(self) -> None:
        self.mean_s = UNKNOWN_S
        self.is_short = False
        self._peak_s = 0.0
        self._quickest_s = self._older_s = math.inf
        self._since_s = -math.inf

    def note(self, seconds: float, now_s: float) -> None:
        """A task of this kind has run."""
        if self._since_s == -math.inf:
            self.mean_s = seconds
            self._since_s = now_s
        self.mean_s += _NEWEST_WEIGHT * (seconds - self.mean_s)
        self._peak_s *= _PEAK_FADES
        if seconds > self._peak_s:
            self._peak_s = seconds
        self.is_short = self._peak_s <= SHORT_S
        if now_s - self._since_s > _RECENT_S / 2:
            self._older_s, self._quickest_s = self._quickest_s, seconds
            self._since_s = now_s
        elif seconds < self._quickest_s:
            self._quickest_s = seconds

    def quickest_s(self, now_s: float) -> float:
        """The quickest run of late; 0 where there was none."""
        if now_s - self._since_s > _RECENT_S:
            return 0.0
        return min(self._quickest_s, self._older_s)


class Kinds:
    """Durations by kind, and over all kinds."""

    def __init__(self) -> None:
        self._kinds: dict[str, Kind] = {}
        self._unknown = Kind()
        self.mean_s: float | None = None
        """The moving mean over all tasks that ended; None before any."""

    def of(self, kind: str) -> Kind:
        """What is known of a kind; nothing, where it has never run."""
        return self._kinds.get(kind, self._unknown)

    def note(self, kind: str, seconds: float, now_s: float) -> None:
        """A task of that kind has run."""
        mean_s = seconds if self.mean_s is None else self.mean_s
        self.mean_s = mean_s + _NEWEST_WEIGHT * (seconds - mean_s)
        known = self._kinds.get(kind)
        if known is None:
            if len(self._kinds) >= _MAX_KINDS:
                return
            known = self._kinds[kind] = Kind()
        known.note(seconds, now_s)
