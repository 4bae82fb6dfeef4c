"""Runs tasks on the device itself: in a child process as slow as a device, by a CPU quota."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from offload.cpu_quota import CpuLimit, Method
from offload.errors import ConfigError, TaskError
from offload.local_worker import Order, Report, receive_frame, run_project_task, send_frame
from offload.task_function import RunTask, reference
from offload.tasks import get_task
from offload.types import ExecutionResult, Outcome, PlacementCost, TaskInstance

_START_S = 60.0
_USUAL_START_S = 0.1
_WARM_UP_S = 120.0
_SHORTEST_WAIT_S = 1e-3
ONE_THREAD = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    )
}
"""Environment of a process that runs tasks; it must be set before NumPy is imported."""


class LocalExecutor:
    """Runs tasks one at a time in one child process; an ``Executor`` and a context manager.

    The child keeps its models loaded. It dies with this process, and is replaced when it dies or
    overruns a budget. Not for use by several threads at once.

    Args:
        slowdown: times slower than a full core; 1 for a full core.
        core: the CPU core to pin the child to; None leaves it to the scheduler.
        method: as for :class:`offload.cpu_quota.CpuLimit`.
        run_task: what the child calls, ``(kind, payload) -> bytes``: a top-level function of an
            importable module. The default runs the project's own tasks.

    Attributes:
        limit: the CPU limit, with the method it uses and why.
        isolated: True: a task that crashes takes only the child with it.
        start_s: what the last start of a child took; before any, what one usually takes.
        last_cpu_s: CPU seconds of the last task that gave an output. On a full core of its own
            that is a task's wall time; other load on the core does not add to it.

    Raises:
        ConfigError: ``slowdown`` or ``core`` is out of bounds, or ``run_task`` cannot be imported.
    """

    isolated = True

    def __init__(
        self,
        slowdown: float = 4.0,
        core: int | None = None,
        method: Method | None = None,
        run_task: RunTask = run_project_task,
    ) -> None:
        self._run_task = reference(run_task)
        allowed = os.sched_getaffinity(0)
        if core is not None and core not in allowed:
            raise ConfigError(f"core {core} is not one this process may use: {sorted(allowed)}")
        self._core = core
        self._child: _Child | None = None
        self._warm_kinds: list[str] = []
        self.start_s = _USUAL_START_S
        self.last_cpu_s = 0.0
        self.limit = CpuLimit(slowdown, method)

    @property
    def pid(self) -> int | None:
        """The child's process id; None while there is none."""
        return None if self._child is None else self._child.process.pid

    def warm_up(self, kinds: Iterable[str]) -> None:
        """Start the child, and have it load the models of these kinds, with the limit lifted.

        A new child loads them again. The kinds are the project's own.

        Raises:
            TaskError: a kind is unknown or cannot run here.
        """
        child = self._ready_child()
        for kind in kinds:
            if kind not in self._warm_kinds:
                self._warm(child, kind)
                self._warm_kinds.append(kind)

    def execute(self, task: TaskInstance, payload: bytes, budget_s: float) -> ExecutionResult:
        """Run ``task`` on ``payload`` and measure it.

        ``cost.compute_s`` is the wall time of the task in the child. The budget counts from when
        the child is ready; a task that overruns it is killed.

        Returns:
            LOCAL_OK, or FAILED with the reason in ``detail``: budget overrun, child killed.

        Raises:
            TaskError: the task is unknown here or its input bad.
        """
        child = self._ready_child()
        start = time.monotonic()
        try:
            report = child.ask(Order(task.kind, payload), budget_s)
        except TimeoutError:
            self._stop()
            return _failed(start, f"the budget of {budget_s:.3f} s ran out; the task was killed")
        except (OSError, EOFError):
            status = self._stop()
            return _failed(start, f"the process that ran the task died (status {status})")
        if report.output is None:
            raise TaskError(report.error)
        self.last_cpu_s = report.cpu_s
        owed_s = self.limit.owed_s(report.cpu_s, report.wall_s)
        left_s = budget_s - (time.monotonic() - start)
        if owed_s > left_s:
            time.sleep(max(0.0, left_s))
            return _failed(start, f"the budget of {budget_s:.3f} s ran out")
        time.sleep(owed_s)
        return ExecutionResult(Outcome.LOCAL_OK, report.output, _cost(report.wall_s + owed_s))

    def close(self) -> None:
        """End the child and remove the CPU limit."""
        self._stop()
        self.limit.close()

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _ready_child(self) -> _Child:
        """A child that is alive, limited and warm."""
        if self._child is not None and self._child.process.poll() is None:
            return self._child
        self._stop()
        began_s = time.monotonic()
        self._child = child = _Child.start(self._core, self._run_task)
        self.start_s = time.monotonic() - began_s
        try:
            self.limit.add(child.process.pid)
            for kind in self._warm_kinds:
                self._warm(child, kind)
        except BaseException:
            self._stop()
            raise
        return child

    def _warm(self, child: _Child, kind: str) -> None:
        """Run the smallest input once with the limit lifted."""
        task = get_task(kind)
        payload = task.make_input(task.sizes[0], seed=0)
        with self.limit.lifted():
            try:
                report = child.ask(Order(kind, payload), _WARM_UP_S)
            except (OSError, EOFError) as error:
                self._stop()
                raise TaskError(f"task {kind!r} could not be warmed up: {error}") from error
        if report.output is None:
            raise TaskError(report.error)

    def _stop(self) -> int | None:
        """Kill the child and wait for it; its exit status, negative for a signal."""
        child, self._child = self._child, None
        return None if child is None else child.end()


@dataclass(frozen=True, slots=True)
class _Child:
    """A running child and our end of the channel to it."""

    process: subprocess.Popen[bytes]
    channel: socket.socket

    @classmethod
    def start(cls, core: int | None, run_task: str) -> _Child:
        """Start one and wait until it takes orders.

        Raises:
            TaskError: it does not start.
        """
        ours, theirs = socket.socketpair()
        package_root = str(Path(__file__).resolve().parent.parent)
        # What this process can import, the child can: its task may come with the user's program.
        search = os.pathsep.join(dict.fromkeys([package_root, *filter(None, sys.path)]))
        descriptor = theirs.fileno()
        with theirs:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-m", "offload.local_worker", str(descriptor),
                     str(os.getpid()), run_task],
                    pass_fds=[descriptor],
                    env={**os.environ, **ONE_THREAD, "PYTHONPATH": search},
                    stdin=subprocess.DEVNULL,
                )  # fmt: skip
            except BaseException:
                ours.close()
                raise
        child = cls(process, ours)
        try:
            if core is not None:
                os.sched_setaffinity(process.pid, {core})
            ours.settimeout(_START_S)
            receive_frame(ours)
        except (OSError, EOFError) as error:
            status = child.end()
            raise TaskError(
                f"the process that runs local tasks did not start (status {status}): {error}"
            ) from error
        return child

    def ask(self, order: Order, timeout_s: float) -> Report:
        """Send an order and wait for its report.

        Raises:
            TimeoutError: no report in time.
            OSError, EOFError: the child is gone.
        """
        end = time.monotonic() + timeout_s
        self.channel.settimeout(max(timeout_s, _SHORTEST_WAIT_S))
        send_frame(self.channel, order)
        self.channel.settimeout(max(end - time.monotonic(), _SHORTEST_WAIT_S))
        return msgspec.msgpack.decode(receive_frame(self.channel), type=Report)

    def end(self) -> int:
        """Kill it and wait for it; its exit status, negative for a signal."""
        self.channel.close()
        self.process.kill()
        return self.process.wait()


def _cost(compute_s: float) -> PlacementCost:
    return PlacementCost(
        upload_s=0.0, queue_s=0.0, compute_s=compute_s, download_s=0.0, cpu_j=0.0, radio_j=0.0
    )


def _failed(start: float, detail: str) -> ExecutionResult:
    return ExecutionResult(Outcome.FAILED, b"", _cost(time.monotonic() - start), detail=detail)
