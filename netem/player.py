"""Replays a link trace on an open link, row by row on an absolute clock.

A row is applied at the replay's start plus the row's own time, so delays in applying never add up.
A row whose time has passed when its turn comes is skipped, not queued. Packets get no jitter of
their own: the round-trip time changes with the rows.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from netem.trace_rows import TraceRows
from offload.errors import OffloadError
from offload.link_trace import LinkTrace
from offload.types import LinkProfile

_END_PATIENCE_S = 10.0


class Playable(Protocol):
    """What a trace can be played on: :class:`netem.Link`, or anything like it."""

    max_rate_bps: float

    def apply(self, profile: LinkProfile) -> None:
        """Set a profile."""
        ...


@dataclass(frozen=True, slots=True)
class Replayed:
    """How well a replay kept time.

    Attributes:
        applied: rows that were set.
        unchanged: rows that said the same as the one before, so nothing was set.
        skipped: rows whose time had passed when their turn came.
        late_median_s, late_worst_s: from a row's time until it was set and read back.
    """

    applied: int
    unchanged: int
    skipped: int
    late_median_s: float
    late_worst_s: float

    def __str__(self) -> str:
        return (
            f"{self.applied} rows set, {self.unchanged} the same as before, {self.skipped} skipped;"
            f" in effect {self.late_median_s * 1e3:.1f} ms late (median),"
            f" {self.late_worst_s * 1e3:.1f} ms at worst"
        )


class TracePlayer:
    """Replays a trace in a thread while the context manager is open.

    The first row is set before ``__enter__`` returns. After the last row the link stays as it is,
    or the trace starts over.

    Args:
        link: an open link; it must outlive the player.
        trace: what to replay.
        loop: start over at the trace's end.
    """

    def __init__(self, link: Playable, trace: LinkTrace, *, loop: bool = False) -> None:
        self.trace = trace
        self._link = link
        self._rows = TraceRows(trace, link.max_rate_bps)
        self._loop = loop
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, name="trace", daemon=True)
        self._start_s = 0.0
        self._set: LinkProfile | None = None
        self._late_s: list[float] = []
        self._unchanged = 0
        self._skipped = 0
        self._error: OffloadError | None = None

    def __enter__(self) -> TracePlayer:
        self._start_s = time.monotonic()
        self._apply(0, self._start_s)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        self._stop.set()
        self._thread.join(_END_PATIENCE_S)
        if kind is None:
            self.check()

    @property
    def elapsed_s(self) -> float:
        """Time since the replay began."""
        return time.monotonic() - self._start_s

    @property
    def position_s(self) -> float:
        """Time in the trace; in a replay that loops it starts over with the trace."""
        if self._loop:
            return self.elapsed_s % self.trace.end_s
        return min(self.elapsed_s, self.trace.end_s)

    @property
    def over(self) -> bool:
        """True once the last row of a replay that does not loop has had its time."""
        return not self._loop and self.elapsed_s >= self.trace.end_s

    def report(self) -> Replayed:
        """How the replay has kept time so far."""
        late_s = np.array(self._late_s)
        return Replayed(
            applied=len(late_s),
            unchanged=self._unchanged,
            skipped=self._skipped,
            late_median_s=float(np.median(late_s)),
            late_worst_s=float(late_s.max()),
        )

    def check(self) -> None:
        """Raise what went wrong while replaying.

        Raises:
            OffloadError: the link refused a row, or is gone.
        """
        if self._error is not None:
            raise self._error

    def _play(self) -> None:
        trace = self.trace
        turn, row = 0, 0
        try:
            while True:
                row += 1
                if row == trace.rows:
                    turn, row = turn + 1, 0
                    if not self._loop:
                        return
                if self._stop.wait(self._time_of(turn, row) - time.monotonic()):
                    return
                elapsed_s = self.elapsed_s
                now_turn = int(elapsed_s // trace.end_s) if self._loop else 0
                # A clock that wakes us a hair early must not lead back to the row before.
                now = max((turn, row), (now_turn, self._row_at(elapsed_s)))
                self._skipped += (now[0] - turn) * trace.rows + now[1] - row
                turn, row = now
                self._apply(row, self._time_of(turn, row))
        except OffloadError as error:
            self._error = error

    def _row_at(self, elapsed_s: float) -> int:
        if not self._loop and elapsed_s >= self.trace.end_s:
            return self.trace.rows - 1
        return self.trace.row_at(elapsed_s)

    def _time_of(self, turn: int, row: int) -> float:
        return self._start_s + turn * self.trace.end_s + float(self.trace.t_s[row])

    def _apply(self, row: int, due_s: float) -> None:
        profile = self._rows.profile(row)
        if profile == self._set:
            self._unchanged += 1
            return
        self._link.apply(profile)
        self._set = profile
        self._late_s.append(time.monotonic() - due_s)
