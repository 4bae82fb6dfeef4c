"""Which waiting job goes to which worker, and what its client is charged for that."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from edge_server.jobs import Job, Start, TaskResult
from edge_server.kinds import Kind, Kinds
from edge_server.refusals import EXPIRED, TOO_LATE
from edge_server.waiting import WaitingTasks
from edge_server.workers import Run, Workers


class Schedule:
    """The jobs that wait and the workers that hold some, with how long each kind takes.

    Args:
        waiting: the queue.
        workers: the workers.
        drop: told of a job that is not begun, its deadline being too near.

    Attributes:
        started: jobs given to workers, to be taken from here.
        next_s: when some job's deadline or limit may have passed.
    """

    def __init__(
        self,
        waiting: WaitingTasks,
        workers: Workers,
        drop: Callable[[Job, TaskResult, float], None],
    ) -> None:
        self.waiting = waiting
        self.workers = workers
        self._drop = drop
        self._kinds = Kinds()
        self.started: list[Start] = []
        self.next_s = math.inf

    @property
    def queued(self) -> int:
        """Jobs that wait, those that wait at a worker included."""
        return len(self.waiting) + self.workers.held - self.workers.busy

    @property
    def mean_s(self) -> float | None:
        """The mean task's compute time; None before any has ended."""
        return self._kinds.mean_s

    def expected_queue_s(self) -> float:
        """How long a task that came now would wait: 0 with an idle worker, else by the mean task.

        A running task is taken to be half done.
        """
        busy, mean_s = self.workers.busy, self._kinds.mean_s
        if self.workers.has_idle or not busy or mean_s is None:
            return 0.0
        return (self.queued + 0.5) * mean_s / busy

    def put(self, job: Job, now_s: float) -> None:
        """A new job: it begins, or waits."""
        worker = self.workers.next_idle()
        if worker is not None and not self.waiting:
            self._start(worker, job, self._kinds.of(job.kind), now_s)
            return
        self.waiting.push(job)
        self.look_at(job.deadline_s if not self.workers.cancelled else now_s)
        self.fill(now_s)

    def put_back(self, runs: Iterable[Run]) -> None:
        """Jobs that a worker had not begun wait again, however full the queue is."""
        for run in runs:
            self.waiting.charge(run.client, -run.charged_s)
            if run.job is not None:
                self.waiting.push(run.job)
                self.look_at(run.job.deadline_s)

    def fill(self, now_s: float) -> None:
        """Give waiting jobs to workers."""
        waiting, workers = self.waiting, self.workers
        while waiting and workers.may_take:
            job = waiting.peek()
            kind = self._kinds.of(job.kind)
            worker = workers.next_idle()
            if worker is None and kind.is_short:
                worker = workers.next_with_room(now_s)
            if worker is None:
                return
            waiting.pop()
            self._start(worker, job, kind, now_s)

    def finish(self, worker: int, result: TaskResult, now_s: float) -> Run | None:
        """A worker has a result; the job it is of, None where it held none."""
        well = result.code is None
        run, following = self.workers.finish(worker, well, now_s)
        if run is None:
            return None
        if following is not None:
            self.look_at(now_s if following.cancelled else following.overrun_s)
        self.waiting.charge(run.client, result.compute_s - run.charged_s)
        if well and run.job is not None:
            self._kinds.note(run.kind, result.compute_s, now_s)
        return run

    def cut_off(self, run: Run, now_s: float) -> None:
        """A worker ended in the midst of this one."""
        self.waiting.charge(run.client, now_s - run.begun_s - run.charged_s)

    def cancel(self, job: Job, now_s: float) -> None:
        """Nobody wants the job any more. One that waits is gone; a worker's is to be seen to."""
        if not self.waiting.remove(job) and self.workers.cancel(job, now_s):
            self.look_at(now_s)

    def look_at(self, time_s: float) -> None:
        """Something may have to be done then."""
        if time_s < self.next_s:
            self.next_s = time_s

    def _start(self, worker: int, job: Job, kind: Kind, now_s: float) -> None:
        """Give the job to the worker, unless its deadline cannot be met any more."""
        if now_s + kind.quickest_s(now_s) >= job.deadline_s:
            self._drop(job, EXPIRED if now_s >= job.deadline_s else TOO_LATE, now_s)
            return
        self.waiting.charge(job.client, kind.mean_s)
        run = Run(job, kind.mean_s)
        self.workers.give(worker, run, kind.is_short, now_s)
        if run.overrun_s < self.next_s:
            self.next_s = run.overrun_s
        self.started.append(Start(worker, job))
