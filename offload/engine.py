"""The decision engine: one task in, one terminal outcome out.

The policy places the task. On the device it runs at once. On the edge it gets a budget; when the
edge does not answer in it, says BUSY or fails, the device runs the task after all, and the time
lost counts. A hedged engine starts the device in time for the deadline instead, while the edge is
still out. Pure logic: executors, clock and budget are injected.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from offload.attempt import Attempt, TaskRecord
from offload.cancellation import Cancellation
from offload.cost_model import edge_budget_s, transfer
from offload.errors import ConfigError, OffloadError, RemoteError
from offload.hedged_run import HedgedRuns, default_margin_s
from offload.interfaces import CancellableExecutor, Clock, Executor, LinkEstimator, Policy
from offload.link_memory import LinkMemory
from offload.poison import Poison
from offload.types import (
    DecisionContext,
    EdgeState,
    ExecutionResult,
    LastRun,
    Outcome,
    Placement,
    PlacementCost,
    TaskInstance,
)

__all__ = ["DecisionEngine", "MonotonicClock", "OnRecord", "TaskRecord"]

_LEAST_S = 1e-6


class MonotonicClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()


OnRecord: TypeAlias = Callable[[TaskRecord], None]


class DecisionEngine:
    """Runs tasks where a policy says, and sees each one to exactly one outcome.

    Several threads may run tasks at once if the executors let them; it decides one after the other.

    Args:
        policy: places the tasks.
        local: runs a task on the device. Where it has no attribute ``isolated`` that is True, a
            task that killed a server worker, or was sent and not answered, is not run on it.
        edge: runs a task on the edge server.
        estimator: when given, its newest link state replaces that of each context, with what the
            engine remembers of earlier ones; what the last remote run saw of the edge's queue
            replaces its edge state, and how its transfers went stands in ``last_run``.
        clock: time.
        budget_s: longest wait for the edge, in seconds.
        local_budget_s: bound on a local run. It is far beyond any deadline: a late answer of the
            device still beats none.
        on_record: called with the record of each task, once.
        hedge: start the local run in time for the deadline even while the edge is still out, and
            end every task by its deadline (:mod:`offload.hedged_run`); ``budget_s`` and
            ``local_budget_s`` are then not looked at, and :meth:`close` has to be called.
        margin_s: with ``hedge``, how much earlier than predicted the local run starts.
    """

    def __init__(
        self,
        policy: Policy,
        local: Executor,
        edge: Executor,
        estimator: LinkEstimator | None = None,
        *,
        clock: Clock | None = None,
        budget_s: Callable[[DecisionContext], float] = edge_budget_s,
        local_budget_s: float = 600.0,
        on_record: OnRecord | None = None,
        hedge: bool = False,
        margin_s: Callable[[DecisionContext], float] = default_margin_s,
    ) -> None:
        self._policy = policy
        self._local = local
        self._edge = edge
        self._estimator = estimator
        self._clock = clock or MonotonicClock()
        self._budget_s = budget_s
        self._local_budget_s = local_budget_s
        self._on_record = on_record
        self._poison = Poison(local)
        self._hedged = (
            HedgedRuns(local, edge, self._clock, self._poison, margin_s) if hedge else None
        )
        self._deciding = threading.Lock()
        self._memory = LinkMemory()
        self._last_run: _RemoteRun | None = None

    def close(self) -> None:
        """Wait for what hedged tasks left under way."""
        if self._hedged is not None:
            self._hedged.close()

    @property
    def late_answers(self) -> int:
        """Good answers that came after their task had ended, and were dropped."""
        return 0 if self._hedged is None else self._hedged.late_answers

    def run(
        self,
        task: TaskInstance,
        payload: bytes,
        context: DecisionContext,
        *,
        cancellation: Cancellation | None = None,
    ) -> ExecutionResult:
        """Place the task, run it, and fall back to the device where the edge fails.

        Args:
            task: what to run.
            payload: its encoded input.
            context: what is known at this moment, of one task (numbers, not arrays).
            cancellation: by which another thread ends the task early. An edge that is at it is
                told, a local run is left to end.

        Returns:
            The result; ``outcome`` is FAILED with the reason in ``detail`` when neither side could
            run it, CANCELLED when the caller wished so. Its cost counts the time lost on the edge.

        Raises:
            ConfigError: the policy's answer is no placement.
            Exception: what a task raises beyond the project's own errors, after its record.
        """
        started_s = self._clock.now()
        with self._deciding:
            context = self.observe(context)
            chosen = self._place(context)
        attempt = Attempt(task, payload, context, chosen, started_s, self._clock.now())
        try:
            result = self._run(attempt, cancellation or Cancellation())
        except OffloadError as error:
            result = attempt.failed(str(error))
        except BaseException as error:
            self._record(attempt, attempt.failed(f"{type(error).__name__}: {error}"))
            raise
        self._record(attempt, result)
        return result

    def observe(self, context: DecisionContext) -> DecisionContext:
        """The context with what was last measured of the link and of the edge's queue."""
        if self._estimator is None:
            return context
        link, now_s = self._estimator.state(), self._clock.now()
        self._memory.saw(link, now_s)
        context = replace(context, link=link, history=self._memory.history())
        run = self._last_run
        if run is not None:
            context = replace(
                context,
                edge=EdgeState(run.queue_s, now_s - run.back_s),
                last_run=LastRun(run.upload, run.download, now_s - run.decided_s),
            )
        return context

    def _place(self, context: DecisionContext) -> Placement:
        answer = self._policy.decide(context)
        try:
            return Placement(int(answer))
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"policy {self._policy.name!r} answered {answer!r}; 0 (local) or 1 (edge) is right"
            ) from error

    def _run(self, attempt: Attempt, cancellation: Cancellation) -> ExecutionResult:
        run = self._hedged.run if self._hedged else self._one_by_one
        result = run(attempt, cancellation)
        if result.outcome is Outcome.REMOTE_OK:
            self._last_run = _remembered(attempt, result.cost, self._clock.now())
        return result

    def _one_by_one(self, attempt: Attempt, cancellation: Cancellation) -> ExecutionResult:
        """The edge alone for its budget, then the device."""
        if cancellation.wished:
            return attempt.cancelled()
        if attempt.chosen is Placement.LOCAL:
            return self._run_locally(attempt)
        attempt.budget_s = float(self._budget_s(attempt.context))
        sent_s = self._clock.now()
        try:
            given = (attempt.task, attempt.payload, attempt.budget_s)
            if isinstance(self._edge, CancellableExecutor):
                return self._edge.execute_until(*given, cancellation)
            return self._edge.execute(*given)
        except RemoteError as error:
            attempt.lost_s = self._clock.now() - sent_s
            if cancellation.wished:
                return attempt.cancelled()
            attempt.reason = f"{type(error).__name__}: {error}"
            self._poison.saw(attempt.task, attempt.payload, error)
            return attempt.fell_back(self._run_locally(attempt, unanswered=error.unanswered))

    def _run_locally(self, attempt: Attempt, *, unanswered: bool = False) -> ExecutionResult:
        self._poison.check(attempt.task, attempt.payload, unanswered=unanswered)
        return self._local.execute(attempt.task, attempt.payload, self._local_budget_s)

    def _record(self, attempt: Attempt, result: ExecutionResult) -> None:
        if self._on_record is not None:
            self._on_record(attempt.record(result, self._clock.now()))


@dataclass(frozen=True, slots=True)
class _RemoteRun:
    """What the last remote run told: the edge's queue, and ln(seconds / predicted) of transfers."""

    queue_s: float
    upload: float
    download: float
    decided_s: float
    back_s: float


def _remembered(attempt: Attempt, cost: PlacementCost, now_s: float) -> _RemoteRun:
    context = attempt.context
    predicted = context.moved or transfer(context.link, context.task, context.congestion_control)
    return _RemoteRun(
        queue_s=float(cost.queue_s),
        upload=_surprise(cost.upload_s, predicted.upload_s),
        download=_surprise(cost.download_s, predicted.download_s),
        decided_s=attempt.decided_s,
        back_s=now_s,
    )


def _surprise(measured_s: float, predicted_s: float) -> float:
    """ln(measured / predicted), of seconds that a clock too coarse may call 0."""
    return math.log(max(measured_s, _LEAST_S) / max(predicted_s, _LEAST_S))
