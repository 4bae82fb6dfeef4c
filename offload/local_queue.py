"""The device's one CPU, for many threads: tasks wait for it in turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from offload.interfaces import Executor
from offload.types import ExecutionResult, Outcome, PlacementCost, TaskInstance


class LocalQueue:
    """A :class:`offload.interfaces.QueueingExecutor` that runs tasks one after the other.

    Args:
        executor: runs one task at a time, in a process of its own.
        predicted_s: what the device expects a task to take on it, in seconds; asked when the task
            comes and when it begins, in any thread.
    """

    isolated = True

    def __init__(self, executor: Executor, predicted_s: Callable[[TaskInstance], float]) -> None:
        self._executor = executor
        self._predicted_s = predicted_s
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="local")
        self._lock = threading.Lock()
        self._waiting: dict[Future[Any], float] = {}
        self._running: tuple[float, float] | None = None

    def submit(
        self, task: TaskInstance, payload: bytes, budget_s: float
    ) -> Future[ExecutionResult]:
        """Queue a task; one whose budget ends while it waits is not begun."""
        takes_s = self._predicted_s(task)
        with self._lock:
            future = self._worker.submit(
                self._run, task, payload, budget_s, takes_s, time.monotonic()
            )
            self._waiting[future] = takes_s
        future.add_done_callback(self._forget)  # for one that was taken from the queue
        return future

    def execute(self, task: TaskInstance, payload: bytes, budget_s: float) -> ExecutionResult:
        """See :class:`offload.interfaces.Executor`; ``queue_s`` holds the wait for the CPU."""
        return self.submit(task, payload, budget_s).result()

    def backlog_s(self) -> float:
        """Predicted seconds of the work that waits, and of what is left of the task that runs."""
        with self._lock:
            left_s = 0.0
            if self._running is not None:
                began_s, takes_s = self._running
                left_s = max(0.0, began_s + takes_s - time.monotonic())
            waiting_s = sum(
                takes_s for future, takes_s in self._waiting.items() if not future.running()
            )
            return left_s + waiting_s

    def between_tasks(self, action: Callable[[], None], takes_s: float) -> None:
        """Do something to the executor when no task runs on it.

        Args:
            action: does it.
            takes_s: as predicted; who comes meanwhile waits for it.
        """
        with self._lock:
            future = self._worker.submit(self._act, action, takes_s)
            self._waiting[future] = takes_s
        future.add_done_callback(self._forget)

    def close(self) -> None:
        """Wait for the task that runs, and end the thread."""
        self._worker.shutdown(cancel_futures=True)

    def _forget(self, future: Future[Any]) -> None:
        with self._lock:
            self._waiting.pop(future, None)

    def _act(self, action: Callable[[], None], takes_s: float) -> None:
        with self._lock:
            self._running = (time.monotonic(), takes_s)
        try:
            action()
        finally:
            with self._lock:
                self._running = None

    def _run(
        self, task: TaskInstance, payload: bytes, budget_s: float, takes_s: float, queued_s: float
    ) -> ExecutionResult:
        began_s = time.monotonic()
        waited_s = began_s - queued_s
        if waited_s >= budget_s:
            cost = PlacementCost(0.0, waited_s, 0.0, 0.0, 0.0, 0.0)
            detail = "the budget ended while the task waited for the device"
            return ExecutionResult(Outcome.FAILED, b"", cost, detail=detail)
        with self._lock:
            self._running = (began_s, takes_s)
        try:
            done = self._executor.execute(task, payload, budget_s - waited_s)
        finally:
            with self._lock:
                self._running = None
        return replace(done, cost=replace(done.cost, queue_s=done.cost.queue_s + waited_s))
