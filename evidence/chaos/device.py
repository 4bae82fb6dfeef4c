"""Where a client of the suite runs its tasks locally: in a process of its own, or in the client's.

The project's own local executor runs the project's tasks; these run the suite's.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec

from evidence.chaos.history import History
from evidence.chaos.tasks import run_noted
from offload.errors import TaskError
from offload.local_worker import Order, Report, receive_frame, send_frame
from offload.types import ExecutionResult, Outcome, PlacementCost, TaskInstance

_ROOT = Path(__file__).resolve().parents[2]
_START_S = 30.0
_LEAST_BUDGET_S = 1e-3


class InClient:
    """Runs a task in the client's own process: what must never be given a poison task."""

    isolated = False
    pid = os.getpid()

    def __init__(self, history: History) -> None:
        self._history = history

    def execute(self, task: TaskInstance, payload: bytes, budget_s: float) -> ExecutionResult:
        """Run it here and now; the suite's tasks are far shorter than any local budget."""
        start_s = time.monotonic()
        return _done(run_noted(task.kind, payload, "device", self._history), start_s)

    def close(self) -> None:
        """Nothing to close."""


class InChild:
    """Runs tasks, one at a time, in a child process that is replaced when a task has killed it."""

    isolated = True

    def __init__(self, history: History) -> None:
        self._history = history
        self._one_at_a_time = threading.Lock()
        self._start()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def execute(self, task: TaskInstance, payload: bytes, budget_s: float) -> ExecutionResult:
        """Run it in the child; FAILED when the child dies of it or it takes too long."""
        start_s = time.monotonic()
        with self._one_at_a_time:
            self._channel.settimeout(max(budget_s, _LEAST_BUDGET_S))
            try:
                send_frame(self._channel, Order(task.kind, payload))
                report = msgspec.msgpack.decode(receive_frame(self._channel), type=Report)
            except (OSError, EOFError) as error:
                self.close()
                self._start()
                detail = f"the process that ran the task died, or took too long: {error}"
                cost = _cost(time.monotonic() - start_s)
                return ExecutionResult(Outcome.FAILED, b"", cost, detail=detail)
        if report.output is None:
            raise TaskError(report.error)
        return _done(report.output, start_s)

    def close(self) -> None:
        """End the child; may be called twice."""
        self._channel.close()
        self._process.kill()
        self._process.wait()

    def _start(self) -> None:
        self._channel, theirs = socket.socketpair()
        with theirs:
            words = [str(theirs.fileno()), str(self._history.path)]
            self._process = subprocess.Popen(
                [sys.executable, "-m", "evidence.chaos.device", *words],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd=_ROOT,
            )
        self._channel.settimeout(_START_S)
        receive_frame(self._channel)


def _done(output: bytes, start_s: float) -> ExecutionResult:
    return ExecutionResult(Outcome.LOCAL_OK, output, _cost(time.monotonic() - start_s))


def _cost(compute_s: float) -> PlacementCost:
    return PlacementCost(0.0, 0.0, compute_s, 0.0, 0.0, 0.0)


def main(descriptor: int, path: str) -> None:
    """The child: runs one order after the other until its channel closes."""
    with socket.socket(fileno=descriptor) as channel, History(Path(path)) as history:
        try:
            send_frame(channel, Report(b"", "", 0.0, 0.0))
            while True:
                order = msgspec.msgpack.decode(receive_frame(channel), type=Order)
                send_frame(channel, _obey(order, history))
        except (EOFError, ConnectionError):
            return  # the client has ended, or was killed


def _obey(order: Order, history: History) -> Report:
    try:
        return Report(run_noted(order.kind, order.payload, "device", history), "", 0.0, 0.0)
    except TaskError as error:
        return Report(None, str(error), 0.0, 0.0)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
