"""The engine with fake executors and a clock that only moves when told to."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from offload.cost_model import transfer
from offload.engine import DecisionEngine, TaskRecord
from offload.errors import (
    ConfigError,
    OffloadError,
    RemoteBusy,
    RemoteFailure,
    RemoteTimeout,
    TaskError,
)
from offload.types import (
    DecisionContext,
    DeviceState,
    EdgeState,
    ExecutionResult,
    LastRun,
    LinkHistory,
    LinkState,
    Outcome,
    Placement,
    PlacementCost,
    RadioPower,
    TaskInstance,
    TaskProfile,
)

TASK = TaskInstance("chess", "small", 3)
LINK = LinkState(rtt_s=0.05, jitter_s=0.0, loss=0.0, uplink_bps=1e6, downlink_bps=2e6, age_s=9.0)
RADIO = RadioPower(*[0.0] * 8)


def context(local_s: float = 2.0, deadline_s: float = 5.0) -> DecisionContext:
    return DecisionContext(
        link=LINK,
        task=TaskProfile(local_s, 0.5, 100, 10, deadline_s),
        device=DeviceState(0.5, 1.0, RADIO, 0.0, 1.0, 0.1),
        edge=EdgeState(0.0, 0.0),
        reference_s=local_s,
        reference_j=1.0,
    )


class FakeClock:
    def __init__(self) -> None:
        self.time_s = 100.0

    def now(self) -> float:
        return self.time_s


class FakePolicy:
    name = "fake"
    sees_truth = False

    def __init__(self, answer: object, clock: FakeClock) -> None:
        self.answer = answer
        self.clock = clock
        self.seen: list[DecisionContext] = []

    def decide(self, context: DecisionContext) -> object:
        self.seen.append(context)
        self.clock.time_s += 0.001
        return self.answer


class FakeExecutor:
    """Takes ``seconds``, then gives a result or raises."""

    def __init__(self, clock: FakeClock, seconds: float, end: object) -> None:
        self.clock = clock
        self.seconds = seconds
        self.end = end
        self.budgets: list[float] = []
        self.isolated = True

    def execute(self, task: TaskInstance, payload: bytes, budget_s: float) -> ExecutionResult:
        self.budgets.append(budget_s)
        self.clock.time_s += self.seconds
        if isinstance(self.end, BaseException):
            raise self.end
        assert isinstance(self.end, ExecutionResult)
        return self.end


def done(outcome: Outcome, *, compute_s: float, upload_s: float = 0.0, queue_s: float = 0.0):
    cost = PlacementCost(upload_s, queue_s, compute_s, 0.0, 0.0, 0.0)
    return ExecutionResult(outcome, b"answer", cost)


class Setup:
    def __init__(self, answer: object, edge_s: float = 1.0, edge: object = None) -> None:
        self.clock = FakeClock()
        self.policy = FakePolicy(answer, self.clock)
        self.local = FakeExecutor(self.clock, 2.0, done(Outcome.LOCAL_OK, compute_s=2.0))
        remote = done(Outcome.REMOTE_OK, compute_s=0.5, upload_s=0.3, queue_s=0.2)
        self.edge = FakeExecutor(self.clock, edge_s, edge or remote)
        self.records: list[TaskRecord] = []

    def engine(self, **settings: object) -> DecisionEngine:
        return DecisionEngine(
            self.policy,
            self.local,
            self.edge,
            clock=self.clock,
            on_record=self.records.append,
            **settings,  # type: ignore[arg-type]
        )


@pytest.mark.parametrize("answer", [0, np.int64(0), np.array(0)])
def test_local_runs_at_once_and_the_edge_is_not_asked(answer):
    setup = Setup(answer)
    result = setup.engine().run(TASK, b"in", context())
    assert (result.outcome, result.output) == (Outcome.LOCAL_OK, b"answer")
    assert setup.edge.budgets == []
    (record,) = setup.records
    assert record.chosen is Placement.LOCAL
    assert record.total_s == pytest.approx(2.001)
    assert record.decision_s == pytest.approx(0.001)
    assert (record.lost_s, record.budget_s, record.deadline_met) == (0.0, 0.0, True)


def test_edge_gets_the_budget_that_leaves_time_for_a_local_run():
    setup = Setup(1)
    result = setup.engine().run(TASK, b"in", context(local_s=2.0, deadline_s=5.0))
    assert result.outcome is Outcome.REMOTE_OK
    assert setup.edge.budgets == [3.0]  # 5 - 2
    assert setup.local.budgets == []
    setup.engine().run(TASK, b"in", context(local_s=2.0, deadline_s=2.1))
    assert setup.edge.budgets[1] == 2.5  # no room for both: queue 0.5 + local 2


def test_an_injected_budget_is_used():
    setup = Setup(1)
    setup.engine(budget_s=lambda context: 0.25).run(TASK, b"in", context())
    assert setup.edge.budgets == [0.25]


@pytest.mark.parametrize(
    "error",
    [
        RemoteTimeout("nothing came"),
        RemoteBusy("full"),
        RemoteFailure("unknown_kind", "no such task"),
        RemoteFailure("shutting_down", "bye"),
    ],
)
def test_the_device_takes_over_and_the_time_lost_counts(error):
    setup = Setup(1, edge_s=3.0, edge=error)
    result = setup.engine().run(TASK, b"in", context(deadline_s=6.0))
    assert (result.outcome, result.output) == (Outcome.FALLBACK_OK, b"answer")
    assert result.cost.queue_s == pytest.approx(3.0)
    assert result.cost.compute_s == 2.0
    assert result.cost.seconds == pytest.approx(5.0)
    assert str(error) in result.detail
    (record,) = setup.records
    assert record.chosen is Placement.EDGE
    assert record.lost_s == pytest.approx(3.0)
    assert record.total_s == pytest.approx(5.001)
    assert record.deadline_met
    assert type(error).__name__ in record.reason


def test_a_fallback_after_the_deadline_is_a_miss_and_still_an_answer():
    setup = Setup(1, edge_s=3.0, edge=RemoteTimeout("nothing came"))
    result = setup.engine().run(TASK, b"in", context(deadline_s=4.9))
    assert result.outcome is Outcome.FALLBACK_OK
    assert not setup.records[0].deadline_met


def test_what_killed_a_worker_does_not_run_in_this_process():
    setup = Setup(1, edge=RemoteFailure("worker_died", "gone"))
    setup.local.isolated = False
    result = setup.engine().run(TASK, b"in", context())
    assert (result.outcome, result.output) == (Outcome.FAILED, b"")
    assert setup.local.budgets == []
    assert "worker_died" in result.detail
    assert "shares this process" in result.detail
    assert result.cost.seconds == pytest.approx(1.0)
    assert [record.outcome for record in setup.records] == [Outcome.FAILED]
    assert not setup.records[0].deadline_met


@pytest.mark.parametrize(
    ("isolated", "outcome"), [(True, Outcome.FALLBACK_OK), (False, Outcome.FAILED)]
)
def test_what_killed_a_worker_may_run_in_a_child_process(isolated, outcome):
    setup = Setup(1, edge=RemoteFailure("worker_died", "gone"))
    setup.local.isolated = isolated
    assert setup.engine().run(TASK, b"in", context()).outcome is outcome


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RemoteTimeout("nothing came"), Outcome.FAILED),
        (RemoteFailure("bad_reply", "rubbish"), Outcome.FAILED),
        (RemoteTimeout("expired", unanswered=False), Outcome.FALLBACK_OK),
        (RemoteBusy("full"), Outcome.FALLBACK_OK),
    ],
)
def test_what_may_have_killed_a_worker_does_not_run_in_this_process(error, outcome):
    setup = Setup(1, edge=error)
    setup.local.isolated = False
    assert setup.engine().run(TASK, b"in", context()).outcome is outcome


def test_both_sides_fail_and_both_reasons_are_told():
    setup = Setup(1, edge=RemoteTimeout("nothing came"))
    setup.local.end = TaskError("bad picture")
    result = setup.engine().run(TASK, b"in", context())
    assert result.outcome is Outcome.FAILED
    assert "nothing came" in result.detail
    assert "bad picture" in result.detail
    assert len(setup.records) == 1


def test_a_local_result_that_failed_stays_failed():
    setup = Setup(1, edge=RemoteTimeout("nothing came"))
    setup.local.end = ExecutionResult(
        Outcome.FAILED, b"", PlacementCost(0, 0, 2.0, 0, 0, 0), detail="out of memory"
    )
    result = setup.engine().run(TASK, b"in", context())
    assert result.outcome is Outcome.FAILED
    assert "out of memory" in result.detail
    assert result.cost.seconds == pytest.approx(3.0)


@pytest.mark.parametrize("error", [TaskError("bad picture"), OffloadError("other")])
def test_a_typed_local_error_is_an_outcome(error):
    setup = Setup(0)
    setup.local.end = error
    assert setup.engine().run(TASK, b"in", context()).outcome is Outcome.FAILED
    assert setup.records[0].reason == str(error)


def test_a_bug_is_recorded_and_not_swallowed():
    setup = Setup(0)
    setup.local.end = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError):
        setup.engine().run(TASK, b"in", context())
    assert [record.outcome for record in setup.records] == [Outcome.FAILED]
    assert setup.records[0].reason == "ZeroDivisionError: a bug"


@pytest.mark.parametrize("answer", [2, -1, None, np.array([0, 1])])
def test_an_answer_that_is_no_placement(answer):
    with pytest.raises(ConfigError, match="'fake' answered"):
        Setup(answer).engine().run(TASK, b"in", context())


def test_without_an_estimator_the_context_is_the_callers():
    setup = Setup(1)
    given = context()
    setup.engine().run(TASK, b"in", given)
    assert setup.policy.seen == [given]


def test_with_an_estimator_link_and_edge_are_what_was_last_seen():
    class Estimator:
        def state(self) -> LinkState:
            return fresh

    fresh = LinkState(0.2, 0.01, 0.0, 3e6, 4e6, 0.5)
    setup = Setup(1)
    engine = setup.engine(estimator=Estimator())
    engine.run(TASK, b"in", context())
    setup.clock.time_s += 7.0
    engine.run(TASK, b"in", context())
    first, second = setup.policy.seen
    assert first.link == fresh
    assert first.edge == EdgeState(0.0, 0.0)  # the caller's: nothing was seen yet
    assert second.edge.queue_s == 0.2
    assert second.edge.age_s == pytest.approx(7.0)
    # Decided on 1 ms after the call, which the run of 1 s and the 7 s follow.
    assert first.last_run == LastRun()
    assert second.last_run.age_s == pytest.approx(8.0)
    predicted = transfer(fresh, context().task, "cubic")
    assert second.last_run.upload == pytest.approx(math.log(0.3 / predicted.upload_s))


def test_the_engine_remembers_the_probes_it_decided_on():
    rates = iter([3e6, 3e6, 1e6])
    fresh = LinkState(0.2, 0.01, 0.0, 3e6, 4e6, 0.5)

    class Estimator:
        def state(self) -> LinkState:
            return replace(fresh, uplink_bps=next(rates))

    setup = Setup(0)
    engine = setup.engine(estimator=Estimator())
    for _ in range(3):
        engine.run(TASK, b"in", context())
        setup.clock.time_s += 8.0
    remembered = [seen.history for seen in setup.policy.seen]
    assert remembered[0] == LinkHistory()
    assert remembered[1].uplink_before == 0.0
    assert remembered[2].uplink_before == pytest.approx(math.log(3.0))
    assert remembered[2].probe_gap_s == pytest.approx(10.001)  # a local run of 2 s, and the 8 s
