"""Which worker holds which jobs: a table for the dispatcher."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from edge_server.jobs import Job

_STUCK_S = 0.01
"""A worker that has been at one short job for so long gets no more behind it."""


class Run:
    """A job that was given to a worker; the oldest of a worker's is the one it runs.

    Attributes:
        job: None once it has been answered without a result.
        charged_s: compute time its client was charged for it.
        hung: the job, once it overran the server's own limit and not just its client's budget.
        begun_s, overrun_s, kill_s: when it began, runs too long, and has its worker killed.
    """

    __slots__ = ("begun_s", "charged_s", "hung", "job", "kill_s", "overrun_s")

    def __init__(self, job: Job, charged_s: float) -> None:
        self.job: Job | None = job
        self.charged_s = charged_s
        self.hung: Job | None = None
        self.begun_s = self.kill_s = 0.0
        self.overrun_s = job.deadline_s


class _Worker:
    __slots__ = ("listed", "number", "runs", "short")

    def __init__(self, number: int) -> None:
        self.number = number
        self.runs: deque[Run] = deque()
        self.short = True  # every one of its jobs is of a short kind
        self.listed = False


class Workers:
    """The workers that are ready, with what each holds.

    Args:
        ahead: jobs one may hold behind the one it runs, all of them short.
    """

    def __init__(self, ahead: int) -> None:
        self._ahead = ahead
        self._workers: dict[int, _Worker] = {}
        self._idle: list[int] = []
        self._room: deque[_Worker] = deque()  # may take more; some of them no longer
        self.busy = 0
        self.held = 0

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

    def give(self, worker: int, run: Run, short: bool) -> bool:
        """Give a worker a job; True when it begins at once."""
        state = self._workers[worker]
        state.runs.append(run)
        self.held += 1
        begins = len(state.runs) == 1
        if begins:
            self._idle.remove(worker)
            self.busy += 1
            state.short = short
            self._list(state)
        return begins

    def finish(self, worker: int) -> Run | None:
        """The job a worker has finished; None: it held none."""
        state = self._workers.get(worker)
        if state is None or not state.runs:
            return None
        run = state.runs.popleft()
        self.held -= 1
        if not state.runs:
            self.busy -= 1
            self._idle.append(worker)
        elif state.short and not state.listed:
            self._list(state)
        return run

    def first(self, worker: int) -> Run | None:
        """The job a worker runs; None: it is idle."""
        runs = self._workers[worker].runs
        return runs[0] if runs else None

    def holding(self) -> Iterator[tuple[int, deque[Run]]]:
        """Each busy worker with what it holds."""
        return ((w.number, w.runs) for w in list(self._workers.values()) if w.runs)

    def _list(self, state: _Worker) -> None:
        if self._ahead and state.short and not state.listed:
            state.listed = True
            self._room.append(state)
