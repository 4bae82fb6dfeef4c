"""The requests that are not answered yet, and the last answers: how duplicates are known.

A client that lost its connection asks again for the same task, by the task's own name. While the
task is under way such a request joins the first one; afterwards it gets the answer that was kept.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from edge_server.jobs import GivenUp, Job, TaskResult
from edge_server.protocol import ErrorCode

MAX_ANSWERS = 4096
MAX_JOINED = 8
"""Requests that may wait for one task beside the first."""


class _Known(msgspec.Struct, frozen=True, gc=False):
    """A task that has run, by what a duplicate of it must agree in."""

    kind: str
    payload_bytes: int
    result: TaskResult


class OpenRequests:
    """Unanswered jobs by client and by task, and answers kept.

    The answers are bounded by number and bytes; those longest unasked for go first. A job without
    a task's name has no duplicates.

    Args:
        max_bytes: outputs kept, together.

    Attributes:
        answer_bytes: outputs kept now.
        bereft: tasks whose first request was withdrawn and answered, while others wait for them.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._by_client: dict[bytes, int] = {}
        self._by_task: dict[bytes, Job] = {}
        self._joined: dict[bytes, list[Job]] = {}
        self.bereft: set[bytes] = set()
        self._answers: OrderedDict[bytes, _Known] = OrderedDict()
        self.answer_bytes = 0

    def __bool__(self) -> bool:
        """Some request is unanswered."""
        return bool(self._by_client)

    @property
    def answers(self) -> int:
        """Answers kept."""
        return len(self._answers)

    def of(self, client: bytes) -> int:
        """The client's unanswered requests."""
        return self._by_client.get(client, 0)

    def find(self, job: Job) -> TaskResult | Job | None:
        """The answer to a duplicate, or the job it may join; None: it is the first of its task."""
        first = self._by_task.get(job.task)
        if first is None:
            known = self._answers.get(job.task)
            if known is None:
                return None
            if known.kind != job.kind or known.payload_bytes != job.payload_bytes:
                return _NOT_THE_SAME
            self._answers.move_to_end(job.task)
            return known.result
        if first.kind != job.kind or first.payload_bytes != job.payload_bytes:
            return _NOT_THE_SAME
        return first if len(self._joined.get(job.task, ())) < MAX_JOINED else _TOO_MANY

    def begin(self, job: Job) -> None:
        """The first request for a task is admitted."""
        self._by_client[job.client] = self._by_client.get(job.client, 0) + 1
        if job.task:
            self._by_task[job.task] = job

    def join(self, job: Job) -> None:
        """Another request waits for the same task."""
        self._by_client[job.client] = self._by_client.get(job.client, 0) + 1
        self._joined.setdefault(job.task, []).append(job)

    def end(self, job: Job, result: TaskResult | None) -> list[Job]:
        """The task's first request is answered; those that joined it, which are to be as well.

        Args:
            job: the first request for it.
            result: what to answer from now on; None: it never ran, and may be tried again.
        """
        task = job.task
        if self.bereft and task in self.bereft:
            self.bereft.remove(task)
        else:
            self._leave(job.client)
        if not task:
            return []
        del self._by_task[task]
        if result is not None:
            self._keep(task, job, result)
        if not self._joined:
            return []
        joined = self._joined.pop(task, [])
        for twin in joined:
            self._leave(twin.client)
        return joined

    def withdraw(self, given_up: GivenUp) -> tuple[list[Job], Job | None]:
        """A client has given up a request, and with it the attempts at its task before that one.

        Returns:
            Those requests of them that are open, which are to be answered; and the job that is to
            be stopped, None where it is still wanted.
        """

        def is_meant(job: Job) -> bool:
            is_it = job.peer == given_up.peer and job.request_id == given_up.request_id
            return is_it or job.attempt < given_up.attempt

        task = given_up.task
        first = self._by_task.get(task)
        if first is None:
            return [], None
        joined = self._joined.get(task, [])
        meant = [twin for twin in joined if is_meant(twin)]
        left = [twin for twin in joined if not is_meant(twin)]
        wanted = task not in self.bereft
        if wanted and is_meant(first):
            wanted = False
            meant.insert(0, first)
            self.bereft.add(task)
        for job in meant:
            self._leave(job.client)
        if left:
            self._joined[task] = left
        else:
            self._joined.pop(task, None)
        if left or wanted:
            return meant, None
        self.bereft.remove(task)
        del self._by_task[task]
        return meant, first

    def _leave(self, client: bytes) -> None:
        left = self._by_client[client] - 1
        if left:
            self._by_client[client] = left
        else:
            del self._by_client[client]

    def _keep(self, task: bytes, job: Job, result: TaskResult) -> None:
        size = len(result.output)
        if size > self._max_bytes:
            return
        self._answers[task] = _Known(job.kind, job.payload_bytes, result)
        self.answer_bytes += size
        while self.answer_bytes > self._max_bytes or len(self._answers) > MAX_ANSWERS:
            _, oldest = self._answers.popitem(last=False)
            self.answer_bytes -= len(oldest.result.output)


_NOT_THE_SAME = TaskResult(
    code=ErrorCode.BAD_REQUEST, message="another task of this client has the same task id"
)
_TOO_MANY = TaskResult(
    code=ErrorCode.BUSY, message=f"{MAX_JOINED} duplicates of this request wait already"
)
