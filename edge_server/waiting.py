"""The tasks that wait: a bounded queue, earliest deadline first, fair between clients.

Who is next is found by deficit round robin with deadlines inside a round. Each client that has
tasks waiting may start tasks of :data:`QUANTUM_S` seconds of compute time a round; among the
clients that have some of that left, the task with the earliest deadline goes first. A client that
has used its share up waits for the next round; what it took too much is carried over. A round ends
when nobody with tasks waiting has any share left, or when, since the first client had used its
share up, as much has been used as the shares of all others that were there then. Who leaves and
comes back within a round has what he had. So deadlines decide among clients that ask for little,
and whoever asks for more than his share keeps nobody else waiting for longer than a round.

Who may wait is longest queue drop: when the queue is full, a newcomer is refused, unless its client
has fewer tasks (or bytes) waiting than another: then the one of that other client with the latest
deadline has to make room.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import TypeAlias

from edge_server.jobs import Job

QUANTUM_S = 0.02
_SLACK = 64
_MAX_ABSENT = 4096

_Entry: TypeAlias = tuple[float, int, Job]


class _Client:
    """One client's waiting tasks, a heap by deadline, and its share."""

    __slots__ = ("credit_s", "jobs", "n_bytes", "name")

    def __init__(self, name: bytes, credit_s: float) -> None:
        self.name = name
        self.jobs: list[_Entry] = []
        self.n_bytes = 0
        self.credit_s = credit_s


class WaitingTasks:
    """A queue of jobs, of bounded number and bytes.

    Args:
        max_jobs: how many may wait; so many and one more are kept only within one
            :meth:`push` and :meth:`shed`.
        max_bytes: their payloads together.
    """

    def __init__(self, max_jobs: int, max_bytes: int) -> None:
        self._max_jobs = max_jobs
        self._max_bytes = max_bytes
        self._clients: dict[bytes, _Client] = {}
        self._heads: list[tuple[float, int, _Client]] = []  # of clients that have a share left
        self._resting: list[tuple[float, int, _Client]] = []  # of those that have not
        self._absent: dict[bytes, float] = {}  # what clients had left that left in this round
        self._round_s = math.inf  # compute time until the next round begins at the latest
        self._count = self._pushed = 0
        self.n_bytes = 0

    def __len__(self) -> int:
        return self._count

    @property
    def clients(self) -> int:
        """Clients with a task waiting."""
        return len(self._clients)

    def push(self, job: Job) -> None:
        """Put a job among the waiting."""
        client = self._clients.get(job.client)
        if client is None:
            credit_s = self._absent.pop(job.client, QUANTUM_S)
            client = self._clients[job.client] = _Client(job.client, credit_s)
        self._pushed += 1
        heappush(client.jobs, (job.deadline_s, self._pushed, job))
        size = len(job.payload)
        client.n_bytes += size
        self.n_bytes += size
        self._count += 1
        if client.jobs[0][1] == self._pushed:
            self._show(client)

    def shed(self, newest: Job) -> list[Job]:
        """Take out what is too much after ``newest`` was pushed; often that job itself."""
        shed: list[Job] = []
        while self._count > self._max_jobs:
            shed.append(self._shed_one(newest, lambda client: len(client.jobs)))
        while self.n_bytes > self._max_bytes:
            shed.append(self._shed_one(newest, lambda client: client.n_bytes))
        return shed

    @property
    def is_overfull(self) -> bool:
        """More waits than may, and :meth:`shed` is due."""
        return self._count > self._max_jobs or self.n_bytes > self._max_bytes

    def peek(self) -> Job:
        """The next job to run; some job must be waiting."""
        while (client := self._first(self._heads)) is None:
            lacking_s = -max(client.credit_s for client in self._clients.values())
            self._next_round(int(lacking_s / QUANTUM_S) + 1)
        return client.jobs[0][2]

    def pop(self) -> Job:
        """The job that :meth:`peek` shows, taken out."""
        self.peek()
        return self._take(self._heads[0][2])

    def remove(self, job: Job) -> bool:
        """Take that job out; False: it does not wait."""
        client = self._clients.get(job.client)
        entries = client.jobs if client is not None else ()
        entry = next((entry for entry in entries if entry[2] is job), None)
        if client is None or entry is None:
            return False
        self._drop(client, entry)
        return True

    def charge(self, client: bytes, seconds: float) -> None:
        """A task of that client is started, or took so much longer (or less) than was charged."""
        self._round_s -= seconds
        state = self._clients.get(client)
        if state is None:
            if client in self._absent:
                self._absent[client] -= seconds
            return
        had_s = state.credit_s
        state.credit_s = left_s = min(QUANTUM_S, had_s - seconds)
        if (had_s > 0) != (left_s > 0):
            self._show(state)
            if left_s <= 0 and self._round_s == math.inf:
                self._round_s = QUANTUM_S * (len(self._clients) - 1)
        if self._round_s <= 0:
            self._next_round(1)

    def expired(self, now_s: float) -> list[Job]:
        """The jobs whose deadline has passed, taken out."""
        late: list[Job] = []
        for heads in (self._heads, self._resting):
            while (client := self._first(heads)) is not None and client.jobs[0][0] <= now_s:
                late.append(self._take(client))
        return late

    def next_deadline_s(self) -> float:
        """The earliest deadline of all; infinite when none waits."""
        firsts = (self._first(self._heads), self._first(self._resting))
        deadlines_s = (client.jobs[0][0] for client in firsts if client is not None)
        return min(deadlines_s, default=math.inf)

    def clear(self) -> list[Job]:
        """Every job, taken out."""
        jobs = [job for client in self._clients.values() for _, _, job in client.jobs]
        self._clients.clear()
        self._heads.clear()
        self._resting.clear()
        self._count = self.n_bytes = 0
        return jobs

    def _first(self, heads: list[tuple[float, int, _Client]]) -> _Client | None:
        """The client of the earliest deadline; entries that are no longer true are dropped."""
        has_share = heads is self._heads
        while heads:
            _, number, client = heads[0]
            if client.jobs and client.jobs[0][1] == number and (client.credit_s > 0) == has_share:
                return client
            heappop(heads)
        return None

    def _show(self, client: _Client) -> None:
        """Have the client's earliest job found; an older entry of it may stay behind."""
        heads = self._heads if client.credit_s > 0 else self._resting
        deadline_s, number, _ = client.jobs[0]
        heappush(heads, (deadline_s, number, client))
        if len(heads) > 2 * len(self._clients) + _SLACK:
            self._rebuild()

    def _rebuild(self) -> None:
        """Both heaps without entries that are no longer true, in place: others hold them."""
        self._heads.clear()
        self._resting.clear()
        for client in self._clients.values():
            if client.jobs:
                heads = self._heads if client.credit_s > 0 else self._resting
                heads.append((client.jobs[0][0], client.jobs[0][1], client))
        heapify(self._heads)
        heapify(self._resting)

    def _take(self, client: _Client) -> Job:
        job = heappop(client.jobs)[2]
        self._left(client, job)
        if client.jobs:
            self._show(client)
        return job

    def _left(self, client: _Client, job: Job) -> None:
        size = len(job.payload)
        client.n_bytes -= size
        self.n_bytes -= size
        self._count -= 1
        if not client.jobs:
            del self._clients[client.name]
            self._absent[client.name] = client.credit_s
            if len(self._absent) > _MAX_ABSENT:
                self._absent.clear()

    def _next_round(self, rounds: int) -> None:
        """Give everybody so many shares."""
        self._absent.clear()
        self._round_s = math.inf
        for client in self._clients.values():
            client.credit_s = min(QUANTUM_S, client.credit_s + rounds * QUANTUM_S)
        self._rebuild()

    def _shed_one(self, newest: Job, measure: Callable[[_Client], int]) -> Job:
        largest = max(self._clients.values(), key=measure)
        own = self._clients.get(newest.client)
        if own is not None and measure(own) >= measure(largest):
            largest = own
        if largest is own and any(entry[2] is newest for entry in own.jobs):
            victim = next(entry for entry in largest.jobs if entry[2] is newest)
        else:
            victim = max(largest.jobs)
        self._drop(largest, victim)
        return victim[2]

    def _drop(self, client: _Client, entry: _Entry) -> None:
        """Take one of a client's jobs out, wherever in its heap it is."""
        head = client.jobs[0]
        client.jobs.remove(entry)
        heapify(client.jobs)
        self._left(client, entry[2])
        if client.jobs and entry is head:
            self._show(client)
