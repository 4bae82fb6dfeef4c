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

from edge_server.protocol import MAX_OPEN_REQUESTS, ErrorCode

_NEWEST_WEIGHT = 0.2
"""Weight of the newest task in the moving mean of task seconds."""

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


@dataclass(slots=True)
class _Running:
    """A job on a worker; ``job`` is None once it has been answered without a result."""

    job: Job | None
    overrun_s: float
    kill_s: float


class Dispatcher:
    """A bounded first-in-first-out queue in front of workers that run one job each.

    A job that overruns is answered at once, but its worker is killed only ``overrun_grace_s``
    later: a kill throws away the models the worker has loaded, and with a short budget the next
    job would then spend that budget on loading them again.

    Args:
        queue_limit: jobs that may wait while every worker is busy.
        max_task_s: longest a job may run, whatever its budget.
        overrun_grace_s: time past its budget until the worker of a job is killed.
    """

    def __init__(self, queue_limit: int, max_task_s: float, overrun_grace_s: float) -> None:
        self._queue_limit = queue_limit
        self._max_task_s = max_task_s
        self._overrun_grace_s = overrun_grace_s
        self._queue: deque[Job] = deque()
        self._idle: deque[int] = deque()
        self._running: dict[int, _Running] = {}
        self._mean_compute_s: float | None = None  # of the tasks that ended; None before any
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

    def expected_queue_s(self) -> float:
        """How long a task that came now would wait: 0 with an idle worker, else by the mean task.

        A running task is taken to be half done.
        """
        if self._idle or not self._running or self._mean_compute_s is None:
            return 0.0
        ahead = len(self._queue) + 0.5
        return ahead * self._mean_compute_s / len(self._running)

    @property
    def draining(self) -> bool:
        """No job is admitted any more."""
        return self._draining

    @property
    def drained(self) -> bool:
        """Draining, and every job has been answered."""
        owed = any(run.job is not None for run in self._running.values())
        return self._draining and not owed and not self._queue

    def admit(self, job: Job, now_s: float) -> list[Instruction]:
        """A request came in."""
        if self._draining:
            return [_shutting_down(job)]
        if now_s >= job.deadline_s:
            return [_expired(job)]
        if self._open_requests(job.peer) >= MAX_OPEN_REQUESTS:
            message = f"{MAX_OPEN_REQUESTS} requests of this connection are open already"
            return [_refuse(job, ErrorCode.BUSY, message)]
        self._queue.append(job)
        instructions = self._fill(now_s)
        if len(self._queue) > self._queue_limit:
            self._queue.pop()
            message = f"{len(self._running)} tasks running and {self._queue_limit} waiting"
            instructions.append(_refuse(job, ErrorCode.BUSY, message))
        return instructions

    def worker_ready(self, worker: int, now_s: float) -> list[Instruction]:
        """A worker has started and waits for its first job."""
        self._idle.appendleft(worker)  # last in turn: the others have their models loaded
        return self._fill(now_s)

    def worker_result(self, worker: int, result: TaskResult, now_s: float) -> list[Instruction]:
        """A worker finished its job; one that was killed meanwhile is not heard any more."""
        if worker not in self._running:
            return []
        job = self._running.pop(worker).job
        mean_s = result.compute_s if self._mean_compute_s is None else self._mean_compute_s
        self._mean_compute_s = mean_s + _NEWEST_WEIGHT * (result.compute_s - mean_s)
        self._idle.append(worker)
        answer = [] if job is None else [Answer(job, result)]
        return [*answer, *self._fill(now_s)]

    def worker_gone(self, worker: int) -> list[Instruction]:
        """A worker's process has ended. Its job is answered, and never tried again here."""
        if worker in self._idle:
            self._idle.remove(worker)
        if worker not in self._running:
            return []
        job = self._running.pop(worker).job
        if job is None:
            return []
        return [_refuse(job, ErrorCode.WORKER_DIED, "the task's worker process died")]

    def tick(self, now_s: float) -> list[Instruction]:
        """Time has passed: expired jobs are dropped, overrun ones killed."""
        instructions: list[Instruction] = []
        for job in [job for job in self._queue if now_s >= job.deadline_s]:
            self._queue.remove(job)
            instructions.append(_expired(job))
        grace_over = self._grace_ends_s is not None and now_s >= self._grace_ends_s
        for worker, run in list(self._running.items()):
            if run.job is not None and now_s >= run.overrun_s:
                message = "the task ran past its budget"
                instructions.append(_refuse(run.job, ErrorCode.OVERRUN, message))
                run.job = None
            if now_s < run.kill_s and not grace_over:
                continue
            if run.job is not None:
                instructions.append(_shutting_down(run.job))
            del self._running[worker]
            instructions.append(Kill(worker))
        return instructions

    def drain(self, now_s: float, grace_s: float) -> list[Instruction]:
        """Admit no more, answer what waits, give what runs ``grace_s``; again: shorten that."""
        self._draining = True
        ends_s = now_s + grace_s
        if self._grace_ends_s is None or ends_s < self._grace_ends_s:
            self._grace_ends_s = ends_s
        waiting, self._queue = self._queue, deque()
        return [_shutting_down(job) for job in waiting]

    def next_tick_s(self) -> float | None:
        """When :meth:`tick` will next have something to do; None: only an event can change that."""
        times = [job.deadline_s for job in self._queue]
        times += [
            run.kill_s if run.job is None else run.overrun_s for run in self._running.values()
        ]
        if self._grace_ends_s is not None and self._running:
            times.append(self._grace_ends_s)
        return min(times, default=None)

    def _open_requests(self, peer: bytes) -> int:
        """Jobs of one client that wait or run."""
        waiting = sum(job.peer == peer for job in self._queue)
        running = sum(
            run.job is not None and run.job.peer == peer for run in self._running.values()
        )
        return waiting + running

    def _fill(self, now_s: float) -> list[Instruction]:
        """Give waiting jobs to idle workers; drop those whose client no longer waits."""
        instructions: list[Instruction] = []
        while self._queue and self._idle:
            job = self._queue.popleft()
            if now_s >= job.deadline_s:
                instructions.append(_expired(job))
                continue
            worker = self._idle.pop()  # the one used last has the most of its models loaded
            overrun_s = min(job.deadline_s, now_s + self._max_task_s)
            self._running[worker] = _Running(job, overrun_s, overrun_s + self._overrun_grace_s)
            instructions.append(Start(worker, job))
        return instructions


def _refuse(job: Job, code: ErrorCode, message: str) -> Answer:
    return Answer(job, TaskResult(code=code, message=message))


def _expired(job: Job) -> Answer:
    return _refuse(job, ErrorCode.EXPIRED, "the client's budget ended before the task could start")


def _shutting_down(job: Job) -> Answer:
    return _refuse(job, ErrorCode.SHUTTING_DOWN, "the server is shutting down")
