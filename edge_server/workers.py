"""Which worker holds which jobs, since when, and until when it may: a table for the dispatcher."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

from edge_server.jobs import Job

_STUCK_S = 0.01
"""A worker that has been at one short job for so long gets no more behind it."""
_RESTART_S = 0.25
"""What a new worker takes until it is of use, roughly. So long a task that nobody wants may keep
others waiting: whether it then ends or its worker is killed, no more than twice the least is lost.
"""


class Run:
    """A job that was given to a worker; the oldest of a worker's is the one it runs.

    Attributes:
        job: None once it has been answered without a result; ``given`` still is the job then.
        kind, client: the job's; whose share it takes.
        charged_s: compute time its client was charged for it.
        hung: it overran the server's own limit and not just its client's budget.
        cancelled: its client wants it no longer.
        begun_s: when it began; infinite before.
        overrun_s: when it runs too long.
        ended_s: when it began or was answered, whichever came last, of one that is answered.
    """

    __slots__ = (
        "begun_s",
        "cancelled",
        "charged_s",
        "client",
        "ended_s",
        "given",
        "hung",
        "job",
        "kind",
        "overrun_s",
    )

    def __init__(self, job: Job, charged_s: float) -> None:
        self.job: Job | None = job
        self.given = job
        self.kind = job.kind
        self.client = job.client
        self.charged_s = charged_s
        self.hung = False
        self.cancelled = False
        self.begun_s = self.ended_s = math.inf
        self.overrun_s = job.deadline_s


class _Worker:
    __slots__ = ("has_run", "listed", "number", "runs", "short")

    def __init__(self, number: int) -> None:
        self.number = number
        self.runs: deque[Run] = deque()
        self.short = True  # every one of its jobs is of a short kind
        self.listed = False
        self.has_run: set[str] = set()


class Workers:
    """The workers that are ready, with what each holds.

    Args:
        ahead: jobs one may hold behind the one it runs, all of them short.
        max_task_s: longest a job may run, whatever its budget.
        grace_s: from a job's overrun until its worker is to be killed.
    """

    def __init__(self, ahead: int, max_task_s: float, grace_s: float) -> None:
        self._ahead = ahead
        self._max_task_s = max_task_s
        self._grace_s = grace_s
        self._workers: dict[int, _Worker] = {}
        self._idle: list[int] = []
        self._room: deque[_Worker] = deque()  # may take more; some of them no longer
        self.busy = 0
        self.held = 0
        self.cancelled = 0

    def __len__(self) -> int:
        return len(self._workers)

    def __contains__(self, worker: int) -> bool:
        return worker in self._workers

    @property
    def has_idle(self) -> bool:
        """Some worker holds no job."""
        return bool(self._idle)

    @property
    def may_take(self) -> bool:
        """Some worker might take one more job, if it is short at least."""
        return bool(self._idle or self._room)

    def add(self, worker: int) -> None:
        """A worker is ready. It comes last in turn: the others have their models loaded."""
        self._workers[worker] = _Worker(worker)
        self._idle.insert(0, worker)

    def remove(self, worker: int) -> deque[Run]:
        """A worker is no more; what it held, the one it ran first."""
        if worker not in self._workers:
            return deque()
        state = self._workers.pop(worker)
        if state.runs:
            self.busy -= 1
            self.held -= len(state.runs)
            self.cancelled -= sum(run.cancelled for run in state.runs)
        else:
            self._idle.remove(worker)
        return state.runs

    def next_idle(self) -> int | None:
        """An idle worker: the one used last has the most of its models loaded."""
        return self._idle[-1] if self._idle else None

    def next_with_room(self, now_s: float) -> int | None:
        """A worker that may take one more short job behind its others, each in turn."""
        while self._room:
            state = self._room[0]
            runs = state.runs
            if (
                state.short
                and 0 < len(runs) <= self._ahead
                and now_s - runs[0].begun_s < _STUCK_S
                and self._workers.get(state.number) is state
            ):
                self._room.rotate(-1)
                return state.number
            state.listed = False
            self._room.popleft()
        return None

    def give(self, worker: int, run: Run, short: bool, now_s: float) -> None:
        """Give a worker a job, which it begins at once if it has no other."""
        state = self._workers[worker]
        state.runs.append(run)
        self.held += 1
        if len(state.runs) == 1:
            self._idle.remove(worker)
            self.busy += 1
            state.short = short
            self._list(state)
            self._begin(run, now_s)

    def finish(self, worker: int, well: bool, now_s: float) -> tuple[Run | None, Run | None]:
        """A worker has finished a job, and begins its next.

        Args:
            worker: which one.
            well: what tasks of that kind need is loaded there now.
            now_s: the time.

        Returns:
            The job it has finished, None where it held none; and the one it begins.
        """
        state = self._workers.get(worker)
        if state is None or not state.runs:
            return None, None
        run = state.runs.popleft()
        self.held -= 1
        if run.cancelled:
            self.cancelled -= 1
        if well:
            state.has_run.add(run.kind)
        if not state.runs:
            self.busy -= 1
            self._idle.append(worker)
            return run, None
        following = state.runs[0]
        self._begin(following, now_s)
        if state.short and not state.listed:
            self._list(state)
        return run, following

    def holding(self) -> Iterator[tuple[int, deque[Run]]]:
        """Each busy worker with what it holds."""
        return ((w.number, w.runs) for w in list(self._workers.values()) if w.runs)

    def cancel(self, job: Job, now_s: float) -> bool:
        """Nobody wants the job any more; False: no worker holds it."""
        for _, runs in self.holding():
            for run in runs:
                if run.job is job:
                    run.job, run.cancelled, run.ended_s = None, True, now_s
                    self.cancelled += 1
                    return True
        return False

    def kill_s(self, worker: int, others_wait: bool) -> float:
        """When a worker is to be killed that is at a job which is answered already.

        One that has not run a task of that kind before may be loading a model. It is given all of
        the grace, or clients that lose patience sooner than that would never see it loaded.

        Args:
            worker: it holds some job.
            others_wait: some job waits, and no worker is free for it.
        """
        state = self._workers[worker]
        first, is_last = state.runs[0], len(state.runs) == 1
        if first.job is not None:
            return math.inf
        if first.begun_s > first.overrun_s:  # the worker sees that itself, and does not run it
            return first.begun_s + self._grace_s
        if not first.cancelled:
            return first.overrun_s + (self._grace_s if is_last else 0.0)
        hurry = (others_wait or not is_last) and first.kind in state.has_run
        return first.ended_s + (min(_RESTART_S, self._grace_s) if hurry else self._grace_s)

    def _begin(self, run: Run, now_s: float) -> None:
        """The worker has come to this job."""
        run.begun_s = now_s
        limit_s = now_s + self._max_task_s
        if limit_s < run.overrun_s:
            run.overrun_s = limit_s
        if run.cancelled:
            run.ended_s = now_s

    def _list(self, state: _Worker) -> None:
        if self._ahead and state.short and not state.listed:
            state.listed = True
            self._room.append(state)
