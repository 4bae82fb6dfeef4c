"""Who runs what, and what is answered: the server's logic as a pure state machine.

Events go in (a job, a worker that is ready, has a result or is gone, the time), instructions come
out (start this job on that worker, answer this job, kill that worker). There is no socket, process
or clock in here, so every rule is tested without waiting. Each admitted job is answered exactly
once, whatever happens.
"""

from __future__ import annotations

import math
from collections import deque
from functools import partial

from edge_server.jobs import Answer, GivenUp, Instruction, Job, Kill, TaskResult
from edge_server.open_requests import OpenRequests
from edge_server.protocol import MAX_OPEN_REQUESTS, ErrorCode
from edge_server.quarantine import Quarantine
from edge_server.refusals import CANCELLED, DIED, EXPIRED, OVERRUN, POISON, SHUTTING_DOWN, busy
from edge_server.schedule import Schedule
from edge_server.waiting import WaitingTasks
from edge_server.workers import Run, Workers

_EXPIRED_CODE, _OUT_OF_MEMORY = ErrorCode.EXPIRED, ErrorCode.OUT_OF_MEMORY


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
        self._max_open = max_open
        self._schedule = Schedule(
            WaitingTasks(queue_limit, queue_bytes),
            Workers(ahead, max_task_s, overrun_grace_s),
            partial(self._settle, ran=False),
        )
        self._waiting, self._workers = self._schedule.waiting, self._schedule.workers
        self._requests = OpenRequests(answer_bytes)
        self._quarantine = Quarantine()
        self._out: list[Instruction] = []
        self._draining = False
        self._grace_ends_s = math.inf

    @property
    def queued(self) -> int:
        """Jobs that wait, those that wait at a worker included."""
        return self._schedule.queued

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

    @property
    def draining(self) -> bool:
        """No job is admitted any more."""
        return self._draining

    @property
    def drained(self) -> bool:
        """Draining, and every job has been answered."""
        return self._draining and not self._requests

    def expected_queue_s(self) -> float:
        """How long a task that came now would wait."""
        return self._schedule.expected_queue_s()

    def next_tick_s(self) -> float:
        """When :meth:`tick` may have something to do; infinite: only an event can change that."""
        return self._schedule.next_s

    def admit(self, job: Job, now_s: float) -> list[Instruction]:
        """A request came in."""
        self._admit(job, now_s)
        return self._taken()

    def cancel(self, given_up: GivenUp, now_s: float) -> list[Instruction]:
        """A request is wanted no longer, nor are the attempts at its task before it.

        What they asked for is stopped, unless somebody else waits for it too. Empty: no such
        request is open.
        """
        withdrawn, stopped = self._requests.withdraw(given_up)
        self._out += [Answer(job, CANCELLED) for job in withdrawn]
        if stopped is not None:
            self._schedule.cancel(stopped, now_s)
        return self._taken()

    def worker_ready(self, worker: int, now_s: float) -> list[Instruction]:
        """A worker has started and waits for its first job."""
        self._workers.add(worker)
        self._schedule.fill(now_s)
        return self._taken()

    def worker_result(self, worker: int, result: TaskResult, now_s: float) -> list[Instruction]:
        """A worker finished its job; one that was killed meanwhile is not heard any more."""
        run = self._schedule.finish(worker, result, now_s)
        if run is None:
            return []
        job, code = run.job, result.code
        if code is None:
            self._quarantine.note_success(run.given)
        elif code is _OUT_OF_MEMORY:
            self._quarantine.note_death(run.given)
        if job is not None:
            self._settle(job, result, now_s, ran=code is not _EXPIRED_CODE)
        if code is _OUT_OF_MEMORY:  # it ends itself; nothing else is to begin there
            self._out.append(Kill(worker))
            self._put_back(self._workers.remove(worker), now_s)
        self._schedule.fill(now_s)
        return self._taken()

    def worker_gone(self, worker: int, now_s: float) -> list[Instruction]:
        """A worker has ended. The job it ran is answered, and never tried again here.

        What waited behind that job had not begun, and runs elsewhere.
        """
        runs = self._workers.remove(worker)
        if not runs:
            return []
        first = runs.popleft()
        self._schedule.cut_off(first, now_s)
        self._quarantine.note_death(first.given)  # answered or not: nobody has killed it
        if first.job is not None:
            self._settle(first.job, DIED, now_s)
        self._put_back(runs, now_s)
        self._schedule.fill(now_s)
        return self._taken()

    def tick(self, now_s: float) -> list[Instruction]:
        """Time has passed: expired jobs are dropped, workers killed that run what overran."""
        schedule = self._schedule
        if now_s < schedule.next_s:
            return []
        for job in self._waiting.expired(now_s):
            self._settle(job, EXPIRED, now_s, ran=False)
        schedule.next_s = math.inf
        for worker, runs in self._workers.holding():
            for run in runs:
                if run.job is not None and now_s >= run.overrun_s:
                    if run.overrun_s < run.job.deadline_s:
                        run.hung = True
                    job, run.job = run.job, None
                    self._settle(job, OVERRUN, now_s)
                if run.job is not None:
                    schedule.look_at(run.overrun_s)
            kill_s = min(self._workers.kill_s(worker, bool(self._waiting)), self._grace_ends_s)
            if now_s >= kill_s:
                self._kill(worker, now_s)
            else:
                schedule.look_at(kill_s)
        schedule.look_at(self._waiting.next_deadline_s())
        schedule.fill(now_s)
        return self._taken()

    def drain(self, now_s: float, grace_s: float) -> list[Instruction]:
        """Admit no more, answer what waits, give what runs ``grace_s``; again: shorten that."""
        self._draining = True
        self._grace_ends_s = min(self._grace_ends_s, now_s + grace_s)
        self._schedule.look_at(self._grace_ends_s)
        for job in self._waiting.clear():
            self._settle(job, SHUTTING_DOWN, now_s, ran=False)
        return self._taken()

    def _taken(self) -> list[Instruction]:
        out, self._out = self._out, []
        if self._schedule.started:
            out += self._schedule.started
            self._schedule.started.clear()
        return out

    def _admit(self, job: Job, now_s: float) -> None:
        refusal = self._refusal(job, now_s)
        if refusal is not None:
            self._out.append(Answer(job, refusal))
            return
        requests = self._requests
        n_open = requests.of(job.client)
        known = requests.find(job) if job.task else None
        if isinstance(known, TaskResult):
            self._out.append(Answer(job, known))
        elif n_open >= self._max_open:
            message = f"{n_open} requests of this client are open already"
            self._out.append(Answer(job, self._busy(message)))
        elif known is not None:
            requests.join(job)
        else:
            requests.begin(job)
            self._schedule.put(job, now_s)
            if self._waiting.is_overfull:
                for shed in self._waiting.shed(job):
                    message = f"{self.busy} tasks running and {len(self._waiting)} waiting"
                    self._settle(shed, self._busy(message), now_s, ran=False)

    def _refusal(self, job: Job, now_s: float) -> TaskResult | None:
        if self._draining:
            return SHUTTING_DOWN
        if now_s >= job.deadline_s:
            return EXPIRED
        return POISON if self._quarantine.holds(job) else None

    def _kill(self, worker: int, now_s: float) -> None:
        """Kill a worker whose job took too long, or at the end of the grace period."""
        self._out.append(Kill(worker))
        runs = self._workers.remove(worker)
        first = runs.popleft()
        self._schedule.cut_off(first, now_s)
        if first.hung:
            self._quarantine.note_death(first.given)
        if first.job is not None:
            self._settle(first.job, SHUTTING_DOWN, now_s)
        self._put_back(runs, now_s)

    def _put_back(self, runs: deque[Run], now_s: float) -> None:
        """See to the jobs that a worker had not begun when it ended."""
        if not self._draining:
            self._schedule.put_back(runs)
            return
        for run in runs:
            if run.job is not None:
                self._settle(run.job, SHUTTING_DOWN, now_s, ran=False)

    def _settle(self, job: Job, result: TaskResult, now_s: float, *, ran: bool = True) -> None:
        """Answer a job and the duplicates that joined it; those of one that never ran may yet."""
        bereft = self._requests.bereft
        if not bereft or job.task not in bereft:
            self._out.append(Answer(job, result))
        for twin in self._requests.end(job, result if ran else None):
            if ran:
                self._out.append(Answer(twin, result))
            else:
                self._admit(twin, now_s)

    def _busy(self, message: str) -> TaskResult:
        return busy(message, self.queued, self.busy, self._schedule.mean_s)
