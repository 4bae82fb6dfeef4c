"""Who runs what, and what is answered: the server's logic as a pure state machine.

Events go in (a job, a worker that is ready, has a result or is gone, the time), instructions come
out (start this job on that worker, answer this job, kill that worker). There is no socket, process
or clock in here, so every rule is tested without waiting. Each admitted job is answered exactly
once, whatever happens.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

from edge_server.protocol import ErrorCode

Buffer: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One admitted request.

    Attributes:
        peer: the ROUTER's routing id of the client.
        request_id: the client's id.
        deadline_s: when the client stops waiting, on the server's clock.
    """

    peer: bytes
    request_id: int
    kind: str
    payload: Buffer
    received_s: float
    deadline_s: float


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a worker says of one job: an output, or a code with its message."""

    output: Buffer = b""
    compute_s: float = 0.0
    code: ErrorCode | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """Send the job to the worker."""

    worker: int
    job: Job


@dataclass(frozen=True, slots=True)
class Answer:
    """Send the result to the job's client."""

    job: Job
    result: TaskResult


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill the worker; its end comes back as :meth:`Dispatcher.worker_gone`."""

    worker: int


Instruction: TypeAlias = Start | Answer | Kill


class Dispatcher:
    """A bounded first-in-first-out queue in front of workers that run one job each.

    Args:
        queue_limit: jobs that may wait while every worker is busy.
        max_task_s: longest a job may run, whatever its budget.
    """

    def __init__(self, queue_limit: int, max_task_s: float) -> None:
        self._queue_limit = queue_limit
        self._max_task_s = max_task_s
        self._queue: deque[Job] = deque()
        self._idle: deque[int] = deque()
        self._running: dict[int, tuple[Job, float]] = {}  # worker -> job, when it is killed
        self._draining = False
        self._grace_ends_s: float | None = None

    @property
    def queued(self) -> int:
        """Jobs that wait."""
        return len(self._queue)

    @property
    def busy(self) -> int:
        """Workers that run a job."""
        return len(self._running)

    @property
    def ready(self) -> int:
        """Workers that are idle or run a job."""
        return len(self._idle) + len(self._running)

    @property
    def draining(self) -> bool:
        """No job is admitted any more."""
        return self._draining

    @property
    def drained(self) -> bool:
        """Draining, and every job has been answered."""
        return self._draining and not self._running and not self._queue

    def admit(self, job: Job, now_s: float) -> list[Instruction]:
        """A request came in."""
        if self._draining:
            return [_refuse(job, ErrorCode.SHUTTING_DOWN, "the server is shutting down")]
        if now_s >= job.deadline_s:
            return [_expired(job)]
        self._queue.append(job)
        instructions = self._fill(now_s)
        if len(self._queue) > self._queue_limit:
            self._queue.pop()
            message = f"{len(self._running)} tasks running and {self._queue_limit} waiting"
            instructions.append(_refuse(job, ErrorCode.BUSY, message))
        return instructions

    def worker_ready(self, worker: int, now_s: float) -> list[Instruction]:
        """A worker has started and waits for its first job."""
        self._idle.append(worker)
        return self._fill(now_s)

    def worker_result(self, worker: int, result: TaskResult, now_s: float) -> list[Instruction]:
        """A worker finished its job; one that was killed meanwhile is not heard any more."""
        if worker not in self._running:
            return []
        job, _ = self._running.pop(worker)
        self._idle.append(worker)
        return [Answer(job, result), *self._fill(now_s)]

    def worker_gone(self, worker: int) -> list[Instruction]:
        """A worker's process has ended. Its job is answered, and never tried again here."""
        if worker in self._idle:
            self._idle.remove(worker)
        if worker not in self._running:
            return []
        job, _ = self._running.pop(worker)
        return [_refuse(job, ErrorCode.WORKER_DIED, "the task's worker process died")]

    def tick(self, now_s: float) -> list[Instruction]:
        """Time has passed: expired jobs are dropped, overrun ones killed."""
        instructions: list[Instruction] = []
        for job in [job for job in self._queue if now_s >= job.deadline_s]:
            self._queue.remove(job)
            instructions.append(_expired(job))
        grace_over = self._grace_ends_s is not None and now_s >= self._grace_ends_s
        for worker, (job, kill_at_s) in list(self._running.items()):
            if now_s >= kill_at_s:
                refusal = _refuse(job, ErrorCode.OVERRUN, "the task ran past its budget")
            elif grace_over:
                refusal = _refuse(job, ErrorCode.SHUTTING_DOWN, "the server is shutting down")
            else:
                continue
            del self._running[worker]
            instructions += [Kill(worker), refusal]
        return instructions

    def drain(self, now_s: float, grace_s: float) -> list[Instruction]:
        """Admit no more, answer what waits, give what runs ``grace_s``. A second call may shorten
        that."""
        self._draining = True
        ends_s = now_s + grace_s
        if self._grace_ends_s is None or ends_s < self._grace_ends_s:
            self._grace_ends_s = ends_s
        waiting, self._queue = self._queue, deque()
        return [
            _refuse(job, ErrorCode.SHUTTING_DOWN, "the server is shutting down") for job in waiting
        ]

    def next_tick_s(self) -> float | None:
        """When :meth:`tick` will next have something to do; None: only an event can change that."""
        times = [job.deadline_s for job in self._queue]
        times += [kill_at_s for _, kill_at_s in self._running.values()]
        if self._grace_ends_s is not None and self._running:
            times.append(self._grace_ends_s)
        return min(times, default=None)

    def _fill(self, now_s: float) -> list[Instruction]:
        """Give waiting jobs to idle workers; drop those whose client no longer waits."""
        instructions: list[Instruction] = []
        while self._queue and self._idle:
            job = self._queue.popleft()
            if now_s >= job.deadline_s:
                instructions.append(_expired(job))
                continue
            worker = self._idle.popleft()
            self._running[worker] = (job, min(job.deadline_s, now_s + self._max_task_s))
            instructions.append(Start(worker, job))
        return instructions


def _refuse(job: Job, code: ErrorCode, message: str) -> Answer:
    return Answer(job, TaskResult(code=code, message=message))


def _expired(job: Job) -> Answer:
    return _refuse(job, ErrorCode.EXPIRED, "the client's budget ended before the task could start")
