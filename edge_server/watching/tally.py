"""Counters and histograms as plain numbers, cheap enough for every task.

Adding takes no lock: one thread adds, another reads. Each number is right by itself; two numbers
read together may be some tasks apart.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

from edge_server.protocol import ErrorCode

OK = "ok"
"""The outcome of a request that was answered with its task's output; others are error codes."""
OTHER_KINDS = "other"
MAX_KINDS = 64
"""Task kinds told apart. Names come from clients, and each costs a page a histogram."""
SECONDS = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
)
"""Upper bounds of the histograms' buckets, in seconds; the last bucket has none."""


class Histogram:
    """How many values fell into each bucket, and their sum.

    Attributes:
        bounds: upper bounds, included in their bucket.
        counts: values a bucket, one longer than ``bounds``: the last holds what lies beyond.
        total: sum of all values.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> tuple[list[tuple[str, float]], float]:
        """Buckets as Prometheus wants them, ``(upper bound, values up to it)``, and the sum."""
        buckets, seen = [], 0
        for bound, count in zip((*self.bounds, float("inf")), list(self.counts), strict=True):
            seen += count
            buckets.append(("+Inf" if bound == float("inf") else f"{bound:g}", float(seen)))
        return buckets, self.total


class ServerTally:
    """What became of the tasks a server was asked to run.

    Attributes:
        outcomes: replies to tasks, and refusals of messages, by ``ok`` or error code.
        request, queue: seconds from arrival to answer, and what of it was not the task.
        compute: seconds of the task itself, by kind, of those that were ok.
        idle_cancels: cancels of what was not open (any more), without effect.
        late: outputs that were ready only after their client had stopped waiting.
    """

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.request = Histogram()
        self.queue = Histogram()
        self.compute: dict[str, Histogram] = {}
        self.idle_cancels = self.late = 0

    def answered(
        self, kind: str, code: ErrorCode | None, compute_s: float, total_s: float, budget_s: float
    ) -> None:
        """Count one request to run a task, at the moment of its answer.

        Args:
            kind: the task's name.
            code: why it failed; None when it is ok.
            compute_s: seconds of the task itself.
            total_s: seconds since the whole request was there.
            budget_s: seconds its client was going to wait, counted from the same moment.
        """
        self.request.add(total_s)
        self.queue.add(max(0.0, total_s - compute_s))
        if code is not None:
            self.outcomes[code] += 1
            return
        self.outcomes[OK] += 1
        if total_s > budget_s:
            self.late += 1
        if compute_s > total_s:  # a second request got the first one's answer: nothing ran
            return
        histogram = self.compute.get(kind)
        if histogram is None:
            histogram = self._new_kind(kind)
        histogram.add(compute_s)

    def _new_kind(self, kind: str) -> Histogram:
        name = kind if len(self.compute) < MAX_KINDS else OTHER_KINDS
        return self.compute.setdefault(name, Histogram())
