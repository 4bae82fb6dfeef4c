"""Requests for one and the same task: joined while it is under way, answered from a cache after."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple, TypeAlias

from edge_server.jobs import Job, TaskResult
from edge_server.protocol import ErrorCode

MAX_ANSWERS = 4096
MAX_JOINED = 8
"""Requests that may wait for one task."""

Key: TypeAlias = tuple[bytes, bytes]


class _Known(NamedTuple):
    """A task that has run, by what a duplicate of it must agree in."""

    kind: str
    payload_bytes: int
    result: TaskResult


class Duplicates:
    """Tasks under way and the last answers, by who asked and the task's own name.

    The answers are bounded by number and bytes; those longest unasked for go first. A job without
    a task's name is left alone.

    Args:
        max_bytes: outputs kept, together.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._under_way: dict[Key, Job] = {}
        self._joined: dict[Key, list[Job]] = {}
        self._answers: OrderedDict[Key, _Known] = OrderedDict()
        self.n_bytes = 0

    def __len__(self) -> int:
        """Answers kept."""
        return len(self._answers)

    def find(self, job: Job) -> TaskResult | bool:
        """The answer to a duplicate of a task that has run; else whether one is under way."""
        key = (job.user, job.task)
        first = self._under_way.get(key)
        if first is not None:
            if (first.kind, len(first.payload)) != (job.kind, len(job.payload)):
                return _NOT_THE_SAME
            return len(self._joined.get(key, ())) < MAX_JOINED or _TOO_MANY
        known = self._answers.get(key)
        if known is None:
            return False
        if (known.kind, known.payload_bytes) != (job.kind, len(job.payload)):
            return _NOT_THE_SAME
        self._answers.move_to_end(key)
        return known.result

    def begin(self, job: Job) -> None:
        """The first request for a task is admitted."""
        if job.task:
            self._under_way[job.user, job.task] = job

    def join(self, job: Job) -> None:
        """Another request waits for the same task."""
        self._joined.setdefault((job.user, job.task), []).append(job)

    def end(self, job: Job, result: TaskResult | None) -> list[Job]:
        """The task is no longer under way; those that joined it.

        Args:
            job: the first request for it.
            result: what to answer from now on; None: it never ran, and may be tried again.
        """
        if not job.task:
            return []
        key = (job.user, job.task)
        del self._under_way[key]
        if result is not None:
            self._keep(key, _Known(job.kind, len(job.payload), result))
        return self._joined.pop(key, []) if self._joined else []

    def _keep(self, key: Key, known: _Known) -> None:
        size = len(known.result.output)
        if size > self._max_bytes:
            return
        self._answers[key] = known
        self.n_bytes += size
        while self.n_bytes > self._max_bytes or len(self._answers) > MAX_ANSWERS:
            _, oldest = self._answers.popitem(last=False)
            self.n_bytes -= len(oldest.result.output)


_NOT_THE_SAME = TaskResult(
    code=ErrorCode.BAD_REQUEST, message="another task of this client has the same task id"
)
_TOO_MANY = TaskResult(
    code=ErrorCode.BUSY, message=f"{MAX_JOINED} duplicates of this request wait already"
)
