"""Tasks in, reports out: for programs, in one thread or many, or under asyncio."""

from __future__ import annotations

import asyncio
import itertools
import math
import threading
import time
from concurrent.futures import Future
from functools import partial

from client_library.explained import Explained
from client_library.predictions import Predictions
from client_library.report import TaskReport
from client_library.sides import LEAST_S, Sides, with_joules
from client_library.task_threads import TaskThreads
from offload.cancellation import Cancellation
from offload.cost_model import edge_cost, local_cost
from offload.engine import DecisionEngine, OnRecord, TaskRecord
from offload.errors import ConfigError
from offload.interfaces import Policy
from offload.local_queue import LocalQueue
from offload.types import (
    DecisionContext,
    ExecutionResult,
    Objective,
    Outcome,
    TaskInstance,
)

MOST_AT_ONCE = 64
"""Tasks under way; further ones wait their turn, and their deadline runs."""


class Offloader:
    """Runs tasks where they are better run. Made by :func:`client_library.connect`. Any thread.

    Every task ends by its deadline in exactly one state. One that the edge has not answered is
    started on the device early enough; the first answer counts. No task runs in the program's own
    process: on the device a child process runs them, one after the other.

    Args:
        policy: places the tasks.
        sides: where they run.
        predictions: what they take.
        objective: for the predicted costs in the reports.
        on_record: called with the record of each task.
        notes: what the program ought to know, e.g. of an optional package that is missing.
    """

    def __init__(
        self,
        policy: Policy,
        sides: Sides,
        predictions: Predictions,
        objective: Objective,
        on_record: OnRecord | None = None,
        *,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.notes = notes
        self.objective = objective
        self._sides = sides
        self._predictions = predictions
        self._on_record = on_record
        self._own = threading.local()
        self._numbers = itertools.count()
        self._expected_s: dict[TaskInstance, float] = {}
        self._edge_used_s = -math.inf
        self._closed = False
        self._callers = 0  # in run(), in threads of their own
        self._changed = threading.Condition()
        self._queue = LocalQueue(sides.local, self._expected_s.__getitem__)
        self._policy = Explained(policy, self._own)
        self._engine = DecisionEngine(
            self._policy, self._queue, sides.edge, sides.link, on_record=self._keep, hedge=True
        )
        self._tasks = TaskThreads(MOST_AT_ONCE)
        self._start_child()  # before the first task comes, if it leaves the time

    def __enter__(self) -> Offloader:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    async def __aenter__(self) -> Offloader:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Wait for every task given to it, then drop connections and child; may be called twice."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.wait_for(lambda: not self._callers)
        self._tasks.close()
        self._engine.close()
        self._queue.close()
        self._sides.local.close()
        self._sides.edge.close()

    def run(
        self, kind: str, payload: bytes, *, deadline_s: float, local_s: float | None = None
    ) -> TaskReport:
        """Run one task and wait for its end.

        Args:
            kind: name of the task.
            payload: its encoded input.
            deadline_s: latest end, counted from this call.
            local_s: seconds it may take on this device, if you know; else the first task of a kind
                that the project does not know runs here, to be measured.

        Raises:
            ConfigError: a deadline that is none, or the offloader is closed.
        """
        given = (kind, payload, _checked(deadline_s), local_s, time.monotonic())
        with self._changed:
            self._check_open()
            self._callers += 1
        try:
            return self._run(*given, Cancellation())
        finally:
            with self._changed:
                self._callers -= 1
                self._changed.notify_all()

    def submit(
        self, kind: str, payload: bytes, *, deadline_s: float, local_s: float | None = None
    ) -> Future[TaskReport]:
        """As :meth:`run`, without waiting for the end.

        The future can be cancelled until it has its result: a task that waits is then not begun,
        and an edge server that is at it stops. Only a run on the device goes on to its end.
        """
        given = (kind, payload, _checked(deadline_s), local_s, time.monotonic())
        with self._changed:
            self._check_open()
            return self._tasks.submit(partial(self._run, *given))

    async def run_async(
        self, kind: str, payload: bytes, *, deadline_s: float, local_s: float | None = None
    ) -> TaskReport:
        """As :meth:`run`, for asyncio; cancelling is as with :meth:`submit`."""
        future = self.submit(kind, payload, deadline_s=deadline_s, local_s=local_s)
        return await asyncio.wrap_future(future)

    @property
    def late_answers(self) -> int:
        """Answers of either side that came after their task had ended, and were dropped."""
        return self._engine.late_answers + self._sides.edge.late_replies

    @property
    def why_down(self) -> str:
        """Why nothing is sent to the edge at present; empty while it answers."""
        return self._sides.edge.why_down

    def _run(
        self,
        kind: str,
        payload: bytes,
        deadline_s: float,
        local_s: float | None,
        asked_s: float,
        cancellation: Cancellation,
    ) -> TaskReport:
        if local_s is not None:
            self._predictions.expect(kind, len(payload), local_s)
        expected = self._predictions.of(kind, len(payload))
        task = TaskInstance(kind, "", next(self._numbers))
        left_s = deadline_s - (time.monotonic() - asked_s)
        context = self._sides.context(
            expected,
            len(payload),
            max(LEAST_S, left_s),
            queue_s=self._queue.backlog_s(),
            edge_used_s=self._edge_used_s,
        )
        self._own.is_guess = expected.is_guess
        self._expected_s[task] = expected.local_s
        try:
            result = self._engine.run(task, payload, context, cancellation=cancellation)
        finally:
            del self._expected_s[task]
        report = self._report(result, time.monotonic() - asked_s, deadline_s)
        if report.site:
            compute_s = float(result.cost.compute_s)
            output_bytes = len(result.output)
            self._predictions.saw(kind, len(payload), report.site, compute_s, output_bytes)
        if self._sides.local.pid is None and not self._queue.backlog_s():
            self._start_child()
        return report

    def _report(self, result: ExecutionResult, seconds: float, deadline_s: float) -> TaskReport:
        context: DecisionContext = self._own.context
        record: TaskRecord = self._own.record
        site = "device"
        if result.outcome is Outcome.REMOTE_OK:
            site = "edge"
            self._edge_used_s = time.monotonic()
        elif not result.outcome.ok:
            site = ""
        return TaskReport(
            output=result.output,
            outcome=result.outcome,
            site=site,
            seconds=seconds,
            deadline_met=result.outcome.ok and seconds <= deadline_s,
            measured=with_joules(result.cost, context, site),
            predicted_device=local_cost(context),
            predicted_edge=edge_cost(context),
            placed=record.chosen,
            policy=self._policy.name,
            decision_s=record.decision_s,
            reason=record.reason,
            is_first=self._own.is_guess,
        )

    def _keep(self, record: TaskRecord) -> None:
        self._own.record = record  # the engine calls it in the task's own thread
        if self._on_record is not None:
            self._on_record(record)

    def _start_child(self) -> None:
        local = self._sides.local
        self._queue.between_tasks(lambda: local.warm_up(()), local.start_s)

    def _check_open(self) -> None:
        if self._closed:
            raise ConfigError("this offloader is closed; connect again")


def _checked(deadline_s: float) -> float:
    if not (math.isfinite(deadline_s) and deadline_s > 0):
        raise ConfigError(f"deadline_s is {deadline_s}; give seconds above 0")
    return deadline_s
