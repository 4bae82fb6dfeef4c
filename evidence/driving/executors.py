"""The edge while several tasks are under way: several connections, and no probes meanwhile."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Protocol

from offload.errors import RemoteTimeout
from offload.interfaces import Executor
from offload.types import EdgeState, ExecutionResult, TaskInstance


class EdgePool:
    """Remote executors of which each carries one task at a time; with all in use, a task waits.

    Args:
        clients: one a connection.
        quiet: no probes are to be sent while it is busy.
    """

    def __init__(
        self, clients: Sequence[EdgeConnection], quiet: AbstractContextManager[None]
    ) -> None:
        self._clients = clients
        # The one used last comes first: its window is open.
        self._free: queue.LifoQueue[EdgeConnection] = queue.LifoQueue()
        for client in clients:
            self._free.put(client)
        self._quiet = quiet
        self._lock = threading.Lock()
        self._under_way = 0
        self._ended_s = -math.inf

    def execute(self, task: TaskInstance, payload: bytes, budget_s: float) -> ExecutionResult:
        """See :class:`offload.interfaces.Executor`; ``queue_s`` holds the wait as well.

        Raises:
            RemoteTimeout: no connection became free within the budget; or as the client's.
        """
        asked_s = time.monotonic()
        try:
            client = self._free.get(timeout=max(0.0, budget_s))
        except queue.Empty:
            raise RemoteTimeout(
                "every connection was in use for the whole budget", unanswered=False
            ) from None
        try:
            waited_s = time.monotonic() - asked_s
            with self._used(), self._quiet:
                done = client.execute(task, payload, budget_s - waited_s)
        finally:
            self._free.put(client)
        return replace(done, cost=replace(done.cost, queue_s=done.cost.queue_s + waited_s))

    def edge_state(self) -> EdgeState:
        """What the newest ping or run of any connection saw of the edge's queue."""
        return min((client.edge_state() for client in self._clients), key=lambda edge: edge.age_s)

    def awake_s(self, tail_s: float) -> float:
        """How long the radio stays awake if nothing more is sent.

        Args:
            tail_s: for which it does so after a transfer.
        """
        with self._lock:
            if self._under_way:
                return tail_s
            return max(0.0, self._ended_s + tail_s - time.monotonic())

    @contextmanager
    def _used(self) -> Iterator[None]:
        with self._lock:
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1
                self._ended_s = time.monotonic()


class EdgeConnection(Executor, Protocol):
    """An executor on the edge that knows how busy it last was."""

    def edge_state(self) -> EdgeState:
        """Queueing there as last seen."""
        ...


class Holdable(Protocol):
    """A prober that can be told to send nothing for a while."""

    def hold(self) -> AbstractContextManager[None]:
        """No probes meanwhile; waits for one under way."""
        ...


class QuietProbes(AbstractContextManager[None]):
    """Holds the probes while any transfer is under way; a transfer does not wait for a probe.

    Several threads may be in it at once.
    """

    def __init__(self, prober: Holdable) -> None:
        self._prober = prober
        self._changed = threading.Condition()
        self._transfers = 0
        self._closed = False
        self._thread = threading.Thread(target=self._keep, name="quiet probes", daemon=True)
        self._thread.start()

    def __enter__(self) -> None:
        self._count(1)

    def __exit__(self, *raised: object) -> None:
        self._count(-1)

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _count(self, change: int) -> None:
        with self._changed:
            self._transfers += change
            self._changed.notify_all()

    def _keep(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._transfers or self._closed)
                if self._closed:
                    return
            with self._prober.hold(), self._changed:
                self._changed.wait_for(lambda: not self._transfers or self._closed)
