"""The seams of the system: what each part needs of the others, as Protocols."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, Protocol, runtime_checkable

from offload.cancellation import Cancellation
from offload.types import DecisionContext, ExecutionResult, IntArray, LinkState, TaskInstance


@runtime_checkable
class Policy(Protocol):
    """Decides where tasks run. The same object serves simulator, live engine and tests."""

    @property
    def name(self) -> str:
        """The name under which results list it."""
        ...

    @property
    def sees_truth(self) -> bool:
        """True for an oracle: it is given the true state instead of what the device measured."""
        ...

    def decide(self, context: DecisionContext) -> IntArray | Any:
        """Place every task of ``context``.

        Args:
            context: one context (fields are numbers) or a batch (fields are arrays of shape (n,)).

        Returns:
            0 (local) or 1 (edge): a NumPy integer for one context, shape (n,) for a batch.
        """
        ...


class Executor(Protocol):
    """Runs one task on one side and says what it cost."""

    def execute(self, task: TaskInstance, payload: bytes, budget_s: float) -> ExecutionResult:
        """Run ``task`` on its encoded input; never takes much longer than ``budget_s``.

        Raises:
            RemoteTimeout, RemoteBusy, RemoteFailure: from a remote executor.
            TaskError: the task is unknown or its input bad.
        """
        ...


@runtime_checkable
class QueueingExecutor(Executor, Protocol):
    """An executor with a queue of its own, from which a task that has not begun can be taken."""

    def submit(
        self, task: TaskInstance, payload: bytes, budget_s: float
    ) -> Future[ExecutionResult]:
        """As :meth:`execute`, without waiting for it."""
        ...


@runtime_checkable
class CancellableExecutor(Executor, Protocol):
    """An executor whose task can be given up while it is under way."""

    def execute_until(
        self, task: TaskInstance, payload: bytes, budget_s: float, cancellation: Cancellation
    ) -> ExecutionResult:
        """As :meth:`execute`, but it ends soon after the caller wishes so.

        Raises:
            RemoteCancelled: the caller did; the task is not, or not any longer, worked on.
        """
        ...


class LinkEstimator(Protocol):
    """Knows what the device last measured of its link."""

    def state(self) -> LinkState:
        """The newest estimate, with its age."""
        ...


class Clock(Protocol):
    """Time as a parameter, so that a test of a timeout takes no time."""

    def now(self) -> float:
        """Seconds on a monotonic clock."""
        ...
