"""Where a client of the suite runs its tasks locally: in a child process, or in its own."""

from __future__ import annotations

import os
import threading
import time

from evidence.chaos.history import History
from evidence.chaos.tasks import run_noted, run_task_on_device
from offload.local_executor import LocalExecutor
from offload.types import ExecutionResult, Outcome, PlacementCost, TaskInstance


class InClient:
    """Runs a task in the client's own process: what must never be given a poison task."""

    isolated = False
    pid = os.getpid()

    def __init__(self, history: History) -> None:
        self._history = history

    def execute(self, task: TaskInstance, payload: bytes, budget_s: float) -> ExecutionResult:
        """Run it here and now; the suite's tasks are far shorter than any local budget."""
        start_s = time.monotonic()
        output = run_noted(task.kind, payload, "device", self._history)
        cost = PlacementCost(0.0, 0.0, time.monotonic() - start_s, 0.0, 0.0, 0.0)
        return ExecutionResult(Outcome.LOCAL_OK, output, cost)

    def close(self) -> None:
        """Nothing to close."""


class InChild:
    """The project's own local executor, on a full core; a child that died is replaced at once."""

    isolated = True

    def __init__(self, history: History) -> None:
        self._one_at_a_time = threading.Lock()
        self._executor = LocalExecutor(slowdown=1.0, run_task=run_task_on_device)
        self._executor.warm_up(())

    @property
    def pid(self) -> int:
        """The child's process id; the client's own while there is none."""
        return self._executor.pid or os.getpid()

    def execute(self, task: TaskInstance, payload: bytes, budget_s: float) -> ExecutionResult:
        """As :meth:`LocalExecutor.execute`, for several threads."""
        with self._one_at_a_time:
            result = self._executor.execute(task, payload, budget_s)
            self._executor.warm_up(())  # the next task need not wait for the start of a child
        return result

    def close(self) -> None:
        """End the child."""
        self._executor.close()
