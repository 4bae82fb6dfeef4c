"""Tasks in, reports out: for programs, in one thread or many, or under asyncio."""

from __future__ import annotations

import asyncio
import itertools
import math
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from client_library.known_link import KnownLink
from client_library.predictions import Prediction, Predictions
from client_library.report import TaskReport
from client_library.task_threads import TaskThreads
from edge_server.pool import EdgePool
from offload.attempt import NO_COST
from offload.cancellation import Cancellation
from offload.cost_model import edge_cost, local_cost
from offload.energy_model import CPU_BUSY_W, IDLE_W
from offload.engine import DecisionEngine, OnRecord, TaskRecord
from offload.errors import ConfigError
from offload.interfaces import Policy
from offload.local_executor import LocalExecutor
from offload.local_queue import LocalQueue
from offload.types import (
    NEVER_S,
    DecisionContext,
    DeviceState,
    EdgeState,
    ExecutionResult,
    Objective,
    Outcome,
    Placement,
    PlacementCost,
    RadioPower,
    TaskInstance,
    TaskProfile,
    Transfer,
)

MOST_AT_ONCE = 64
"""Tasks under way; further ones wait their turn, and their deadline runs."""
_LEAST_S = 1e-6


@dataclass(frozen=True, slots=True)
class Sides:
    """Where tasks can run, and what is known of the way there and of the device."""

    local: LocalExecutor
    edge: EdgePool
    link: KnownLink
    radio: RadioPower
    battery: float
    congestion_control: str


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
        self._queue = LocalQueue(sides.local, self._expected_s.__getitem__)
        self._policy = _Explained(policy, self._own)
        self._engine = DecisionEngine(
            self._policy, self._queue, sides.edge, sides.link, on_record=self._keep, hedge=True
        )
        self._tasks = TaskThreads(MOST_AT_ONCE)
        self._queue.between_tasks(self._start_child)  # so that no task waits for its start

    def __enter__(self) -> Offloader:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    async def __aenter__(self) -> Offloader:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Wait for the tasks under way, then drop connections and child; may be called twice."""
        if self._closed:
            return
        self._closed = True
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
        return self._run(*given, Cancellation())

    def submit(
        self, kind: str, payload: bytes, *, deadline_s: float, local_s: float | None = None
    ) -> Future[TaskReport]:
        """As :meth:`run`, without waiting for the end.

        The future can be cancelled until it has its result: a task that waits is then not begun,
        and an edge server that is at it stops. Only a run on the device goes on to its end.
        """
        self._check_open()
        given = (kind, payload, _checked(deadline_s), local_s, time.monotonic())
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
        self._check_open()
        if local_s is not None:
            self._predictions.expect(kind, len(payload), local_s)
        expected = self._predictions.of(kind, len(payload))
        task = TaskInstance(kind, "", next(self._numbers))
        left_s = deadline_s - (time.monotonic() - asked_s)
        context = self._context(expected, len(payload), max(_LEAST_S, left_s))
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
        if self._sides.local.pid is None:
            self._queue.between_tasks(self._start_child)
        return report

    def _context(
        self, expected: Prediction, payload_bytes: int, deadline_s: float
    ) -> DecisionContext:
        sides = self._sides
        queue_s = self._queue.backlog_s()
        edge = sides.edge.edge_state()
        local_s = max(expected.local_s, _LEAST_S)
        tail_s = self._edge_used_s + float(sides.radio.tail_s) - time.monotonic()
        return DecisionContext(
            link=sides.link.state(),
            task=TaskProfile(
                local_s=local_s,
                edge_s=max(expected.edge_s, _LEAST_S),
                input_bytes=float(payload_bytes),
                output_bytes=expected.output_bytes,
                deadline_s=deadline_s,
            ),
            device=DeviceState(
                queue_s, sides.battery, sides.radio, max(0.0, tail_s), CPU_BUSY_W, IDLE_W
            ),
            edge=EdgeState(edge.queue_s, min(float(edge.age_s), NEVER_S)),
            reference_s=queue_s + local_s,
            reference_j=CPU_BUSY_W * local_s,
            congestion_control=sides.congestion_control,
        )

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
            measured=_with_joules(result.cost, context, site),
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
        self._sides.local.warm_up(())

    def _check_open(self) -> None:
        if self._closed:
            raise ConfigError("this offloader is closed; connect again")


class _Explained:
    """A policy that leaves to each thread what it was shown.

    A kind of which nothing is known runs on the device once, to be measured.
    """

    sees_truth = False

    def __init__(self, policy: Policy, own: threading.local) -> None:
        self.name = policy.name
        self._policy = policy
        self._own = own

    def decide(self, context: DecisionContext) -> Any:
        """See :class:`offload.interfaces.Policy`."""
        self._own.context = context
        if self._own.is_guess:
            return int(Placement.LOCAL)
        return self._policy.decide(context)


def _with_joules(cost: PlacementCost, context: DecisionContext, site: str) -> PlacementCost:
    """The measured seconds, and what the energy model makes of them."""
    if site == "edge":
        measured = replace(
            context,
            moved=Transfer(cost.upload_s, cost.download_s),
            task=replace(context.task, edge_s=cost.compute_s),
            edge=replace(context.edge, queue_s=cost.queue_s),
        )
        return edge_cost(measured)
    if site == "device":
        return replace(cost, cpu_j=context.device.cpu_w * cost.compute_s)
    return replace(NO_COST, queue_s=cost.queue_s)


def _checked(deadline_s: float) -> float:
    if not (math.isfinite(deadline_s) and deadline_s > 0):
        raise ConfigError(f"deadline_s is {deadline_s}; give seconds above 0")
    return deadline_s
