"""One task on its way through the engine, and its record when it has ended."""

from __future__ import annotations

from dataclasses import dataclass, replace

from offload.types import (
    DecisionContext,
    ExecutionResult,
    Outcome,
    Placement,
    PlacementCost,
    TaskInstance,
)

NO_COST = PlacementCost(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


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


@dataclass(slots=True)
class Attempt:
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

    @property
    def deadline_s(self) -> float:
        """When the task's deadline passes, on the engine's clock."""
        return self.started_s + float(self.context.task.deadline_s)

    def failed(self, reason: str) -> ExecutionResult:
        """The result where neither side gave one."""
        cost = replace(NO_COST, queue_s=self.lost_s)
        return ExecutionResult(Outcome.FAILED, b"", cost, detail=joined(self.reason, reason))

    def cancelled(self) -> ExecutionResult:
        """The result that nobody wants any more."""
        return replace(self.failed("the caller cancelled it"), outcome=Outcome.CANCELLED)

    def fell_back(self, local: ExecutionResult) -> ExecutionResult:
        """The result of a local run after an edge attempt: the time lost counts as waiting."""
        cost = replace(local.cost, queue_s=local.cost.queue_s + self.lost_s)
        reason = joined(self.reason, local.detail)
        outcome = Outcome.FALLBACK_OK
        if local.outcome is Outcome.FAILED:
            outcome = Outcome.FAILED
        return replace(local, outcome=outcome, cost=cost, detail=reason)

    def record(self, result: ExecutionResult, now_s: float) -> TaskRecord:
        """The record of the task that ended so."""
        in_time = now_s <= self.deadline_s
        return TaskRecord(
            task=self.task,
            chosen=self.chosen,
            outcome=result.outcome,
            cost=result.cost,
            total_s=now_s - self.started_s,
            decision_s=self.decided_s - self.started_s,
            lost_s=self.lost_s,
            budget_s=self.budget_s,
            deadline_met=in_time and result.outcome.ok,
            reason=result.detail,
        )


def joined(first: str, second: str) -> str:
    """Two reasons, of which either may be empty."""
    return f"{first}; {second}" if first and second else first or second
