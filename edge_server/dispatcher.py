"""Who runs what, and what is answered: the server's logic as a pure state machine.

Events go in (a job, a worker that is ready, has a result or is gone, the time), instructions come
out (start this job on that worker, answer this job, kill that worker). There is no socket, process
or clock in here, so every rule is tested without waiting. Each admitted job is answered exactly
once, whatever happens.
"""

from __future__ import annotations

import math
from collections import deque

from edge_server.duplicates import Duplicates
from edge_server.jobs import Answer, Instruction, Job, Kill, Start, TaskResult
from edge_server.kinds import Kinds
from edge_server.protocol import MAX_OPEN_REQUESTS, ErrorCode
from edge_server.quarantine import Quarantine
from edge_server.waiting import QUANTUM_S, WaitingTasks
from edge_server.workers import Run, Workers

_RETRY_S = 0.1
"""Said with BUSY before any task has ended."""
_SHORTEST_RETRY_S, _LONGEST_RETRY_S = 0.01, 10.0
_EXPIRED = "the client's budget ended before the task could start"
_TOO_LATE = "what is left of the client's budget is too short for this kind of task"


class Dispatcher:
    """A bounded queue in front of workers.

    A job that overruns is answered at once, but its worker is killed only ``overrun_grace_s``
    later, unless others wait behind it: a kill throws away the models the worker has loaded, and
    with a short budget the next job would then spend that budget on loading them again.

    Args:
        queue_limit: jobs that may wait while every worker is busy.
        max_task_s: longest a job may run, whatever its budget.
        overrun_grace_s: time past its budget until the worker of a job is killed.
        queue_bytes: payloads that may wait, together.
        max_open: jobs of one client that may wait or run.
        answer_bytes: outputs kept for requests that come twice.
        ahead: short jobs a worker may hold behind the one it runs.
    """

    def __init__(
        self,
        queue_limit: int,
        max_task_s: float,
        overrun_grace_s: float,
        *,
        queue_bytes: int = 2**26,
        max_open: int = MAX_OPEN_REQUESTS,
        answer_bytes: int = 2**25,
        ahead: int = 0,
    ) -> None:
        self._queue_limit = queue_limit
        self._max_task_s = max_task_s
        self._overrun_grace_s = overrun_grace_s
        self._max_open = max_open
        self._waiting = WaitingTasks(queue_limit, queue_bytes)
        self._workers = Workers(ahead)
        self._kinds = Kinds()
        self._open: dict[bytes, int] = {}  # unanswered jobs by client
        self._duplicates = Duplicates(answer_bytes)
        self._quarantine = Quarantine()
        self._draining = False
        self._grace_ends_s = math.inf
        self._next_tick_s = math.inf

    @property
    def queued(self) -> int:
        """Jobs that wait, those that wait at a worker included."""
        return len(self._waiting) + self._workers.held - self._workers.busy

    @property
    def busy(self) -> int:
        """Workers that run a job."""
        return self._workers.busy

    @property
    def ready(self) -> int:
        """Workers that are idle or run a job."""
        return len(self._workers)

    @property
    def quarantined(self) -> int:
        """Tasks that are not run any more."""
        return len(self._quarantine)

    def expected_queue_s(self) -> float:
        """How long a task that came now would wait: 0 with an idle worker, else by the mean task.

        A running task is taken to be half done.
        """
        if self._workers.has_idle or not self.busy or self._kinds.mean_s is None:
            return 0.0
        return (self.queued + 0.5) * self._kinds.mean_s / self.busy

    @property
    def draining(self) -> bool:
        """No job is admitted any more."""
        return self._draining

    @property
    def drained(self) -> bool:
        """Draining, and every job has been answered."""
        return self._draining and not self._open

    def next_tick_s(self) -> float | None:
        """When :meth:`tick` may have something to do; None: only an event can change that."""
        return None if self._next_tick_s == math.inf else self._next_tick_s

    def admit(self, job: Job, now_s: float) -> list[Instruction]:
        """A request came in."""
        if self._draining:
            return [_refuse(job, *_SHUTTING_DOWN)]
        if now_s >= job.deadline_s:
            return [_refuse(job, ErrorCode.EXPIRED, _EXPIRED)]
        client = job.client
        n_open = self._open.get(client, 0)
        if job.task:
            known = self._duplicates.find(job)
            if isinstance(known, TaskResult):
                return [Answer(job, known)]
            if known and n_open < self._max_open:
                self._duplicates.join(job)
                self._open[client] = n_open + 1
                return []
        if n_open >= self._max_open:
            message = f"{n_open} requests of this client are open already"
            return [self._busy(job, message)]
        if self._quarantine.holds(job):
            message = "this very task has ended its worker process before; it is not run any more"
            return [_refuse(job, ErrorCode.QUARANTINED, message)]
        self._open[client] = n_open + 1
        self._duplicates.begin(job)
        if not self._waiting and (worker := self._worker_for(job.kind, now_s)) is not None:
            return self._start(worker, job, now_s)
        self._waiting.push(job)
        self._next_tick_s = min(self._next_tick_s, job.deadline_s)
        instructions = self._fill(now_s)
        for shed in self._waiting.shed(job):
            message = f"{self.busy} tasks running and {len(self._waiting)} waiting"
            instructions += self._settle(self._busy(shed, message), now_s, ran=False)
        return instructions

    def worker_ready(self, worker: int, now_s: float) -> list[Instruction]:
        """A worker has started and waits for its first job."""
        self._workers.add(worker)
        return self._fill(now_s)

    def worker_result(self, worker: int, result: TaskResult, now_s: float) -> list[Instruction]:
        """A worker finished its job; one that was killed meanwhile is not heard any more."""
        finished = self._workers.finish(worker)
        if finished is None:
            return []
        run, following = finished
        if following is not None:
            self._begin(following, now_s)
        instructions: list[Instruction] = []
        job = run.job
        if job is not None:
            self._waiting.charge(job.client, result.compute_s - run.charged_s)
            if result.code is None:
                self._kinds.note(job.kind, result.compute_s, now_s)
                self._quarantine.note_success(job)
            ran = result.code is not ErrorCode.EXPIRED
            instructions += self._settle(Answer(job, result), now_s, ran=ran)
        if result.code is ErrorCode.OUT_OF_MEMORY:
            if job is not None:
                self._quarantine.note_death(job)
            instructions += [*self._requeue(self._workers.remove(worker), now_s), Kill(worker)]
        return [*instructions, *self._fill(now_s)] if self._waiting else instructions

    def worker_gone(self, worker: int, now_s: float) -> list[Instruction]:
        """A worker has ended. The job it ran is answered, and never tried again here.

        What waited behind that job had not begun, and runs elsewhere.
        """
        runs = self._workers.remove(worker)
        if not runs:
            return []
        job = runs.popleft().job
        instructions: list[Instruction] = []
        if job is not None:
            self._quarantine.note_death(job)
            died = _refuse(job, ErrorCode.WORKER_DIED, "the task's worker process died")
            instructions += self._settle(died, now_s)
        return [*instructions, *self._requeue(runs, now_s), *self._fill(now_s)]

    def tick(self, now_s: float) -> list[Instruction]:
        """Time has passed: expired jobs are dropped, overrun ones killed."""
        if now_s < self._next_tick_s:
            return []
        instructions: list[Instruction] = []
        for job in self._waiting.expired(now_s):
            expired = _refuse(job, ErrorCode.EXPIRED, _EXPIRED)
            instructions += self._settle(expired, now_s, ran=False)
        next_tick_s = math.inf
        for worker, runs in self._workers.holding():
            for run in runs:
                if run.job is not None and now_s >= run.overrun_s:
                    if run.overrun_s < run.job.deadline_s:
                        run.hung = run.job
                    message = "the task ran past its budget"
                    overrun = _refuse(run.job, ErrorCode.OVERRUN, message)
                    run.job = None
                    instructions += self._settle(overrun, now_s)
                if run.job is not None:
                    next_tick_s = min(next_tick_s, run.overrun_s)
            first = runs[0]
            kill_s = math.inf if first.job is not None else first.kill_s
            if len(runs) > 1 and first.job is None:
                kill_s = now_s
            if now_s >= min(kill_s, self._grace_ends_s):
                instructions += self._kill(worker, now_s)
            else:
                next_tick_s = min(next_tick_s, kill_s, self._grace_ends_s)
        waiting_s = self._waiting.next_deadline_s()
        self._next_tick_s = next_tick_s if waiting_s is None else min(next_tick_s, waiting_s)
        return [*instructions, *self._fill(now_s)]

    def drain(self, now_s: float, grace_s: float) -> list[Instruction]:
        """Admit no more, answer what waits, give what runs ``grace_s``; again: shorten that."""
        self._draining = True
        self._grace_ends_s = min(self._grace_ends_s, now_s + grace_s)
        self._next_tick_s = min(self._next_tick_s, self._grace_ends_s)
        instructions: list[Instruction] = []
        for job in self._waiting.clear():
            instructions += self._settle(_refuse(job, *_SHUTTING_DOWN), now_s, ran=False)
        return instructions

    def _kill(self, worker: int, now_s: float) -> list[Instruction]:
        """Kill a worker whose job took too long, or every one at the end of the grace period."""
        runs = self._workers.remove(worker)
        first = runs.popleft()
        instructions: list[Instruction] = [Kill(worker)]
        if first.hung is not None:
            self._quarantine.note_death(first.hung)
        if first.job is not None:
            instructions += self._settle(_refuse(first.job, *_SHUTTING_DOWN), now_s)
        return instructions + self._requeue(runs, now_s)

    def _requeue(self, runs: deque[Run], now_s: float) -> list[Instruction]:
        """Jobs that a worker had not begun wait again, however full the queue is."""
        instructions: list[Instruction] = []
        for run in runs:
            if run.job is None:
                continue
            if self._draining:
                instructions += self._settle(_refuse(run.job, *_SHUTTING_DOWN), now_s, ran=False)
            else:
                self._waiting.push(run.job)
                self._next_tick_s = min(self._next_tick_s, run.job.deadline_s)
        return instructions

    def _worker_for(self, kind: str, now_s: float) -> int | None:
        """A worker to give a job of that kind: an idle one, or one with room if it is short."""
        worker = self._workers.next_idle()
        if worker is None and self._kinds.is_short(kind):
            worker = self._workers.next_with_room(now_s)
        return worker

    def _fill(self, now_s: float) -> list[Instruction]:
        """Give waiting jobs to workers; drop those whose client no longer waits."""
        instructions: list[Instruction] = []
        while (job := self._waiting.peek()) is not None:
            worker = self._worker_for(job.kind, now_s)
            if worker is None:
                break
            self._waiting.pop()
            instructions += self._start(worker, job, now_s)
        return instructions

    def _start(self, worker: int, job: Job, now_s: float) -> list[Instruction]:
        """Give the job to the worker, unless its deadline cannot be met any more."""
        if now_s + self._kinds.quickest_s(job.kind, now_s) >= job.deadline_s:
            message = _EXPIRED if now_s >= job.deadline_s else _TOO_LATE
            expired = _refuse(job, ErrorCode.EXPIRED, message)
            return self._settle(expired, now_s, ran=False)
        charged_s = self._kinds.expected_s(job.kind, QUANTUM_S)
        self._waiting.charge(job.client, charged_s)
        run = Run(job, charged_s)
        if self._workers.give(worker, run, self._kinds.is_short(job.kind)):
            self._begin(run, now_s)
        else:
            self._next_tick_s = min(self._next_tick_s, run.overrun_s)
        return [Start(worker, job)]

    def _begin(self, run: Run, now_s: float) -> None:
        """The worker has come to this job."""
        run.begun_s = now_s
        run.overrun_s = min(run.overrun_s, now_s + self._max_task_s)
        run.kill_s = run.overrun_s + self._overrun_grace_s
        self._next_tick_s = min(self._next_tick_s, run.overrun_s)

    def _settle(self, answer: Answer, now_s: float, *, ran: bool = True) -> list[Instruction]:
        """Answer a job and the duplicates that joined it; those of one that never ran may yet."""
        self._close(answer.job)
        instructions: list[Instruction] = [answer]
        for twin in self._duplicates.end(answer.job, answer.result if ran else None):
            self._close(twin)
            instructions += [Answer(twin, answer.result)] if ran else self.admit(twin, now_s)
        return instructions

    def _close(self, job: Job) -> None:
        client = job.client
        n_open = self._open[client] - 1
        if n_open:
            self._open[client] = n_open
        else:
            del self._open[client]

    def _busy(self, job: Job, message: str) -> Answer:
        """BUSY, with the time in which half of what waits should be done."""
        retry_s = _RETRY_S
        if self._kinds.mean_s is not None and self.busy:
            retry_s = (self.queued / 2 + 0.5) * self._kinds.mean_s / self.busy
            retry_s = min(max(_SHORTEST_RETRY_S, retry_s), _LONGEST_RETRY_S)
        result = TaskResult(code=ErrorCode.BUSY, message=message, retry_after_s=retry_s)
        return Answer(job, result)


_SHUTTING_DOWN = (ErrorCode.SHUTTING_DOWN, "the server is shutting down")


def _refuse(job: Job, code: ErrorCode, message: str) -> Answer:
    return Answer(job, TaskResult(code=code, message=message))
