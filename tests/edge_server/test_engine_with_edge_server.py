"""The decision engine against a real server: success, fallback, and what must not be run twice."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import replace

import edge_server_tasks
import pytest
from running_edge_server import a_task, wait_until

from edge_server.client import EdgeClient
from offload.cancellation import Cancellation
from offload.engine import DecisionEngine, TaskRecord
from offload.types import (
    DecisionContext,
    DeviceState,
    EdgeState,
    ExecutionResult,
    LinkState,
    Outcome,
    PlacementCost,
    RadioPower,
    TaskInstance,
    TaskProfile,
)

CONTEXT = DecisionContext(
    link=LinkState(0.001, 0.0, 0.0, 1e8, 1e8),
    task=TaskProfile(local_s=0.1, edge_s=0.1, input_bytes=10, output_bytes=10, deadline_s=1.0),
    device=DeviceState(0.0, 1.0, RadioPower(*[0.0] * 8), 0.0, 1.0, 0.1),
    edge=EdgeState(0.0, 0.0),
    reference_s=0.1,
    reference_j=1.0,
)


class AlwaysEdge:
    name = "always-edge"
    sees_truth = False

    def decide(self, context: DecisionContext) -> int:
        return 1


class InProcess:
    """Runs a task right here.

    Args:
        isolated: what the engine is told of it.
    """

    def __init__(self, *, isolated: bool = False) -> None:
        self.isolated = isolated
        self.ran: list[str] = []

    def execute(self, task: TaskInstance, payload: bytes, budget_s: float) -> ExecutionResult:
        self.ran.append(task.kind)
        assert task.kind != "crash", "this would kill the tests"
        start_s = time.monotonic()
        output = b"here" if task.kind == "sleep" else edge_server_tasks.run_task(task.kind, payload)
        cost = PlacementCost(0.0, 0.0, time.monotonic() - start_s, 0.0, 0.0, 0.0)
        return ExecutionResult(Outcome.LOCAL_OK, output, cost)


@pytest.mark.measured
def test_one_outcome_each_whatever_the_server_does(start_server, connect):
    server = start_server(max_message_bytes=1000, overrun_grace_s=0)
    client = connect(server.port)
    client.ping()
    local, apart, records = InProcess(), InProcess(isolated=True), list[TaskRecord]()
    apart.ran = local.ran
    engine, patient = (
        DecisionEngine(
            AlwaysEdge(), side, client, budget_s=lambda context: 0.4, on_record=records.append
        )
        for side in (local, apart)
    )

    result = engine.run(a_task("echo"), b"hello", CONTEXT)
    assert (result.outcome, result.output) == (Outcome.REMOTE_OK, b"hello")

    start_s = time.monotonic()
    result = patient.run(a_task("sleep"), b"20", CONTEXT)  # too slow there
    assert (result.outcome, result.output) == (Outcome.FALLBACK_OK, b"here")
    assert time.monotonic() - start_s == pytest.approx(0.4, abs=0.1)
    assert result.cost.queue_s == pytest.approx(0.4, abs=0.1)

    result = engine.run(a_task("echo"), bytes(2000), CONTEXT)  # too large there
    assert (result.outcome, result.output) == (Outcome.FALLBACK_OK, bytes(2000))
    assert "too_large" in result.detail

    assert wait_until(lambda: client.stats().workers == 1)
    result = engine.run(a_task("crash"), b"", CONTEXT)
    assert result.outcome is Outcome.FAILED
    assert "worker_died" in result.detail

    server.stop()
    start_s = time.monotonic()
    result = engine.run(a_task("echo"), b"alone", CONTEXT)
    assert (result.outcome, result.output) == (Outcome.FALLBACK_OK, b"alone")
    assert time.monotonic() - start_s < 0.6

    assert local.ran == ["sleep", "echo", "echo"]
    assert [record.outcome.value for record in records] == [
        "remote_ok", "fallback_ok", "fallback_ok", "failed", "fallback_ok",
    ]  # fmt: skip


def hedged(client: EdgeClient, records: list[TaskRecord]) -> DecisionEngine:
    return DecisionEngine(
        AlwaysEdge(), InProcess(isolated=True), client, on_record=records.append, hedge=True
    )


def test_what_the_device_has_done_the_edge_does_no_longer(start_server, connect):
    """Its worker is at the next task long before the 60 s that the first would have taken."""
    server = start_server()
    client, other, records = connect(server.port), connect(server.port), list[TaskRecord]()
    assert client.execute(a_task("sleep"), b"0", 30.0).output == b"slept"
    (pid,) = server.server.worker_pids
    with contextlib.closing(hedged(client, records)) as engine:
        result = engine.run(a_task("sleep"), b"60", CONTEXT)
        assert (result.outcome, result.output) == (Outcome.FALLBACK_OK, b"here")
        assert wait_until(lambda: server.server._mailbox.tally.outcomes["cancelled"] == 1)
        assert other.execute(a_task("echo"), b"next", 30.0).output == b"next"
        assert server.server.worker_pids != [pid]
    assert engine.late_answers == 0


@pytest.mark.parametrize("hedge", [False, True])
def test_a_caller_that_cancels_ends_the_task_on_both_sides(start_server, connect, hedge):
    server = start_server(overrun_grace_s=0.0)
    client, records, cancellation = connect(server.port), list[TaskRecord](), Cancellation()
    context = replace(CONTEXT, task=replace(CONTEXT.task, deadline_s=60.0))
    local, results = InProcess(), list[ExecutionResult]()
    engine = DecisionEngine(
        AlwaysEdge(),
        local,
        client,
        budget_s=lambda context: 60.0,
        on_record=records.append,
        hedge=hedge,
    )

    def run() -> None:
        results.append(engine.run(a_task("sleep"), b"60", context, cancellation=cancellation))

    with contextlib.closing(engine):
        thread = threading.Thread(target=run)
        thread.start()
        assert wait_until(lambda: server.server.state().running == 1)
        cancellation.cancel()
        thread.join(30.0)
    assert [result.outcome for result in results] == [Outcome.CANCELLED]
    assert "the caller cancelled it" in records[0].reason
    assert wait_until(lambda: server.server.state().restarts == 1)
    assert local.ran == []
    late = engine.run(a_task("sleep"), b"0", context, cancellation=cancellation)
    assert (late.outcome, local.ran) == (Outcome.CANCELLED, [])
