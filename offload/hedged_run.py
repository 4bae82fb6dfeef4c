"""A task on the edge, and on the device too where the edge's answer may come too late.

The local run starts in time for the deadline, whether or not the edge has answered by then; the
first good answer counts. So every task ends by its deadline, whatever server and link do.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from offload.attempt import Attempt, joined
from offload.cancellation import Cancellation
from offload.errors import OffloadError, RemoteError
from offload.interfaces import CancellableExecutor, Clock, Executor, QueueingExecutor
from offload.poison import Poison
from offload.types import DecisionContext, ExecutionResult, Outcome, Placement

_MOST_THREADS = 256
_MARGIN_SHARE = 0.25
_LEAST_MARGIN_S = 0.02
_GRACE_S = 0.025
"""An answer that comes this little after the deadline is still better than none."""


def default_margin_s(context: DecisionContext) -> float:
    """A quarter of the local run as predicted, for the prediction's error."""
    return max(_LEAST_MARGIN_S, _MARGIN_SHARE * float(context.task.local_s))


class HedgedRuns:
    """Sees tasks to their end by their deadline. Any thread, many at once.

    Args:
        local: runs a task on the device.
        edge: runs a task on the edge server.
        clock: time; it must run as the machine's does, since threads wait by it.
        poison: what must not run locally.
        margin_s: how much earlier than the prediction demands a local run starts.
        overrun_s: a local run may go on this long after the deadline before it is killed.

    Attributes:
        late_answers: good answers of either side that came after the task had ended, and were
            dropped.
    """

    def __init__(
        self,
        local: Executor,
        edge: Executor,
        clock: Clock,
        poison: Poison,
        margin_s: Callable[[DecisionContext], float] = default_margin_s,
        overrun_s: float = 1.0,
    ) -> None:
        self._local = local
        self._edge = edge
        self._clock = clock
        self._poison = poison
        self._margin_s = margin_s
        self._overrun_s = overrun_s
        self._threads = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="task")
        self._lock = threading.Lock()
        self.late_answers = 0

    def close(self) -> None:
        """Wait for what is under way; no longer than deadlines and overruns last."""
        self._threads.shutdown(cancel_futures=True)

    def run(self, attempt: Attempt, cancellation: Cancellation) -> ExecutionResult:
        """See one task to its end.

        What is still under way when it has one is wanted no longer: the edge is told so, and on the
        device a task that has not begun is not begun.

        Args:
            attempt: the task.
            cancellation: by which the caller ends it early.

        Raises:
            OffloadError: a side refused it, and there is no other.
            Exception: what the task raises beyond the project's own errors.
        """
        race = _Race(attempt, self._switch_s(attempt))
        with cancellation.waking(race.give_up):
            return self._run(race)

    def _run(self, race: _Race) -> ExecutionResult:
        attempt = race.attempt
        if race.given_up.done():
            return attempt.cancelled()
        left_s = attempt.deadline_s - self._clock.now()
        if left_s <= 0:
            return attempt.failed("its deadline had passed before it could begin")
        if attempt.chosen is Placement.EDGE:
            attempt.budget_s = left_s
            self._start(race, Placement.EDGE, attempt.budget_s)
        else:
            self._start_local(race)
        try:
            return self._finish(race)
        finally:
            race.edge_unwanted.cancel()
            for left in race.running:
                if not left.cancel():
                    left.add_done_callback(self._count_late)

    def _finish(self, race: _Race) -> ExecutionResult:
        attempt = race.attempt
        end_s = attempt.deadline_s + _GRACE_S
        while race.running:
            now_s = self._clock.now()
            if now_s >= end_s:
                break
            may_switch = not race.local_started and now_s < attempt.deadline_s
            until_s = min(race.switch_s, end_s) if may_switch else end_s
            awaited = (*race.running, race.given_up)
            done, _ = wait(awaited, max(0.0, until_s - now_s), FIRST_COMPLETED)
            if race.given_up in done:
                return attempt.cancelled()
            now_s = self._clock.now()
            if not done and may_switch and race.switch_s <= now_s < attempt.deadline_s:
                left_s = attempt.deadline_s - now_s
                attempt.reason = f"no answer of the edge {left_s:.3f} s before the deadline"
                self._start_local(race)
            for ended in [future for future in race.running if future in done]:
                side = race.running.pop(ended)
                result = self._outcome(race, side, ended)
                if result is not None:
                    return result
        if not race.running and race.local_started:
            return attempt.failed("")
        seconds = float(attempt.context.task.deadline_s)
        return attempt.failed(f"the deadline of {seconds:.3g} s has passed")

    def _outcome(
        self, race: _Race, side: Placement, ended: Future[ExecutionResult]
    ) -> ExecutionResult | None:
        """The task's result, if this side's end is one."""
        attempt = race.attempt
        try:
            result = ended.result()
        except RemoteError as error:
            self._poison.saw(attempt.task, attempt.payload, error)
            attempt.reason = joined(attempt.reason, f"{type(error).__name__}: {error}")
            if not race.local_started:
                self._start_local(race, unanswered=error.unanswered)
            return None
        except OffloadError as error:
            if race.running:
                attempt.reason = joined(attempt.reason, str(error))
                return None
            raise
        if side is Placement.EDGE:
            attempt.lost_s = 0.0
            return result
        if result.outcome is Outcome.FAILED:
            attempt.reason = joined(attempt.reason, result.detail)
            return None
        return result if attempt.chosen is Placement.LOCAL else attempt.fell_back(result)

    def _switch_s(self, attempt: Attempt) -> float:
        """When the local run has to start while the edge is out.

        Never, where it could not be in time from the outset, or would be in this very process:
        what the edge has not answered may have killed a worker there.
        """
        if not self._poison.isolated:
            return math.inf
        context = attempt.context
        local_s = float(context.device.queue_s) + float(context.task.local_s)
        if attempt.started_s + local_s > attempt.deadline_s:
            return math.inf
        return attempt.deadline_s - local_s - self._margin_s(context)

    def _start_local(self, race: _Race, *, unanswered: bool = False) -> None:
        attempt = race.attempt
        self._poison.check(attempt.task, attempt.payload, unanswered=unanswered)
        race.local_started = True
        now_s = self._clock.now()
        if attempt.chosen is Placement.EDGE:
            attempt.lost_s = now_s - attempt.decided_s
        self._start(race, Placement.LOCAL, max(0.0, attempt.deadline_s - now_s) + self._overrun_s)

    def _start(self, race: _Race, side: Placement, budget_s: float) -> None:
        executor = self._edge if side is Placement.EDGE else self._local
        attempt = race.attempt
        given = (attempt.task, attempt.payload, budget_s)
        if isinstance(executor, QueueingExecutor):
            future = executor.submit(*given)
        elif isinstance(executor, CancellableExecutor) and side is Placement.EDGE:
            future = self._threads.submit(executor.execute_until, *given, race.edge_unwanted)
        else:
            future = self._threads.submit(executor.execute, *given)
        race.running[future] = side

    def _count_late(self, ended: Future[ExecutionResult]) -> None:
        if ended.cancelled():
            return
        if ended.exception() is None and ended.result().outcome is not Outcome.FAILED:
            with self._lock:
                self.late_answers += 1


class _Race:
    """What runs for one task.

    Attributes:
        switch_s: when the local run has to start, on the engine's clock.
        running: each side's future.
        edge_unwanted: tells the edge that the task has ended.
        given_up: done once the caller wants no result.
    """

    def __init__(self, attempt: Attempt, switch_s: float) -> None:
        self.attempt = attempt
        self.switch_s = switch_s
        self.running: dict[Future[ExecutionResult], Placement] = {}
        self.local_started = False
        self.edge_unwanted = Cancellation()
        self.given_up: Future[Any] = Future()

    def give_up(self) -> None:
        """The caller wants no result."""
        self.given_up.set_result(None)
