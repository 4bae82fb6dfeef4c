"""The decision engine: one task in, one terminal outcome out.

The policy places the task. On the device it runs at once. On the edge it gets a budget; when the
edge does not answer in it, says BUSY or fails, the device runs the task after all, and the time
lost counts. Pure logic: executors, clock and budget are injected.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias, runtime_checkable

from offload.cost_model import edge_budget_s, transfer
from offload.errors import ConfigError, OffloadError, RemoteError, RemoteFailure
from offload.interfaces import Clock, Executor, LinkEstimator, Policy
from offload.link_memory import LinkMemory
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

WORKER_DIED = "worker_died"
"""The error code of a task that took its server worker with it."""
_LEAST_S = 1e-6
_NO_COST = PlacementCost(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@runtime_checkable
class IsolatedExecutor(Protocol):
    """An executor that says whether a task that crashes takes the caller's process with it.

    A local executor that runs each task in a process of its own sets ``isolated`` to True. One
    without the attribute counts as not isolated.
    """

    isolated: bool


class MonotonicClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """The key figures of one task, as it ended.

    Attributes:
        task: what was run.
        chosen: where the policy placed it.
        outcome: its terminal state.
        cost: measured seconds, term by term. After a fallback ``queue_s`` holds the time lost on
            the edge as well: to the local run, that was waiting.
        total_s: from the call to the outcome, the decision included.
        decision_s: what the policy took.
        lost_s: time spent on an edge attempt that brought nothing.
        budget_s: what the edge attempt was given; 0 when there was none.
        deadline_met: it ended well, within the task's deadline.
        reason: why, when the outcome is not a plain success.
    """

    task: TaskInstance
    chosen: Placement
    outcome: Outcome
    cost: PlacementCost
    total_s: float
    decision_s: float
    lost_s: float
    budget_s: float
    deadline_met: bool
    reason: str


OnRecord: TypeAlias = Callable[[TaskRecord], None]


class DecisionEngine:
    """Runs tasks where a policy says, and sees each one to exactly one outcome.

    Several threads may run tasks at once if the executors let them; it decides one after the other.

    Args:
        policy: places the tasks.
        local: runs a task on the device. Where it has no attribute ``isolated`` that is True, a
            task that killed a server worker is not run on it.
        edge: runs a task on the edge server.
        estimator: when given, its newest link state replaces that of each context, with what the
            engine remembers of earlier ones; what the last remote run saw of the edge's queue
            replaces its edge state, and how its transfers went stands in ``last_run``.
        clock: time.
        budget_s: longest wait for the edge, in seconds.
        local_budget_s: bound on a local run. It is far beyond any deadline: a late answer of the
            device still beats none.
        on_record: called with the record of each task, once.
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
    ) -> None:
        self._policy = policy
        self._local = local
        self._edge = edge
        self._estimator = estimator
        self._clock = clock or MonotonicClock()
        self._budget_s = budget_s
        self._local_budget_s = local_budget_s
        self._on_record = on_record
        self._deciding = threading.Lock()
        self._memory = LinkMemory()
        self._last_run: _RemoteRun | None = None

    def run(self, task: TaskInstance, payload: bytes, context: DecisionContext) -> ExecutionResult:
        """Place the task, run it, and fall back to the device where the edge fails.

        Args:
            task: what to run.
            payload: its encoded input.
            context: what is known at this moment, of one task (numbers, not arrays).

        Returns:
            The result; ``outcome`` is FAILED with the reason in ``detail`` when neither side could
            run it. Its cost counts the time lost on the edge.

        Raises:
            ConfigError: the policy's answer is no placement.
            Exception: what a task raises beyond the project's own errors, after its record.
        """
        started_s = self._clock.now()
        with self._deciding:
            context = self.observe(context)
            chosen = self._place(context)
        attempt = _Attempt(task, payload, context, chosen, started_s, self._clock.now())
        try:
            result = self._run(attempt)
        except OffloadError as error:
            cost = replace(_NO_COST, queue_s=attempt.lost_s)
            reason = _joined(attempt.reason, str(error))
            result = ExecutionResult(Outcome.FAILED, b"", cost, detail=reason)
        except BaseException as error:
            cost = replace(_NO_COST, queue_s=attempt.lost_s)
            reason = _joined(attempt.reason, f"{type(error).__name__}: {error}")
            self._record(attempt, ExecutionResult(Outcome.FAILED, b"", cost, detail=reason))
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

    def _run(self, attempt: _Attempt) -> ExecutionResult:
        if attempt.chosen is Placement.LOCAL:
            return self._local.execute(attempt.task, attempt.payload, self._local_budget_s)
        attempt.budget_s = float(self._budget_s(attempt.context))
        sent_s = self._clock.now()
        try:
            result = self._edge.execute(attempt.task, attempt.payload, attempt.budget_s)
        except RemoteError as error:
            attempt.lost_s = self._clock.now() - sent_s
            attempt.reason = f"{type(error).__name__}: {error}"
            if isinstance(error, RemoteFailure) and error.code == WORKER_DIED:
                self._check_isolated()
            return self._fall_back(attempt)
        self._last_run = _remembered(attempt, result.cost, self._clock.now())
        return result

    def _fall_back(self, attempt: _Attempt) -> ExecutionResult:
        result = self._local.execute(attempt.task, attempt.payload, self._local_budget_s)
        cost = replace(result.cost, queue_s=result.cost.queue_s + attempt.lost_s)
        reason = _joined(attempt.reason, result.detail)
        if result.outcome is Outcome.FAILED:
            return replace(result, cost=cost, detail=reason)
        return replace(result, outcome=Outcome.FALLBACK_OK, cost=cost, detail=reason)

    def _check_isolated(self) -> None:
        """Refuse to run in this very process what has just killed another."""
        local = self._local
        if not (isinstance(local, IsolatedExecutor) and local.isolated is True):
            raise OffloadError("not run locally: the local executor shares this process")

    def _record(self, attempt: _Attempt, result: ExecutionResult) -> None:
        if self._on_record is None:
            return
        total_s = self._clock.now() - attempt.started_s
        in_time = total_s <= attempt.context.task.deadline_s
        self._on_record(
            TaskRecord(
                task=attempt.task,
                chosen=attempt.chosen,
                outcome=result.outcome,
                cost=result.cost,
                total_s=total_s,
                decision_s=attempt.decided_s - attempt.started_s,
                lost_s=attempt.lost_s,
                budget_s=attempt.budget_s,
                deadline_met=bool(in_time and result.outcome is not Outcome.FAILED),
                reason=result.detail,
            )
        )


@dataclass(slots=True)
class _Attempt:
    """One task on its way, and what has become of it so far."""

    task: TaskInstance
    payload: bytes
    context: DecisionContext
    chosen: Placement
    started_s: float
    decided_s: float
    budget_s: float = 0.0
    lost_s: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _RemoteRun:
    """What the last remote run told: the edge's queue, and ln(seconds / predicted) of transfers."""

    queue_s: float
    upload: float
    download: float
    decided_s: float
    back_s: float


def _remembered(attempt: _Attempt, cost: PlacementCost, now_s: float) -> _RemoteRun:
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


def _joined(first: str, second: str) -> str:
    return f"{first}; {second}" if first and second else first or second
