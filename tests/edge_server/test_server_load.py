"""More tasks than the server can run: what waits, what is refused, who goes first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import zmq
from raw_client import RawClient
from running_edge_server import wait_until

from benchmarks.edge_load import Offered, open_loop
from edge_server.client import EdgeClient

ROOT = Path(__file__).parents[2]
TASK_S = 0.005
DEADLINE_S = 0.25


@pytest.fixture
def context() -> Iterator[zmq.Context]:
    with zmq.Context() as context:
        yield context


def peak_rss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no VmHWM of {pid}")


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("options", "accepted"),
    [
        ([], 17),  # one at the stopped worker, 16 waiting
        (["--queue", "10000", "--max-open", "100", "--queue-bytes", str(40 * 2**20)], 4195),
    ],
    ids=["by default", "with a long queue"],
)
def test_ten_thousand_tasks_for_a_stopped_worker_take_bounded_memory(context, options, accepted):
    """Each of 100 clients sends 100 tasks of 10 kB; every one is accepted or answered BUSY."""
    payload = bytes(10_000)
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_server", "--port", "0", "--workers", "1", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process, ExitStack() as stack:
        stack.callback(process.kill)
        assert process.stdout is not None
        port = int(process.stdout.readline().split()[4].rpartition(":")[2])
        (worker,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(worker), signal.SIGSTOP)
        clients = [RawClient(context, port) for _ in range(100)]
        for client in clients:
            stack.callback(client.close)
        for _ in range(100):
            for client in clients:
                client.send("no-such-task", payload)
        with EdgeClient(port=port) as watcher:
            assert wait_until(lambda: watcher.stats(20).received >= 10_000, 60)
            stats = watcher.stats(20)
        assert stats.busy + stats.queued == accepted
        assert stats.answered == {"busy": 10_000 - accepted}
        assert stats.undeliverable == 0
        assert peak_rss_bytes(process.pid) <= 256 * 2**20
        os.kill(int(worker), signal.SIGCONT)
        answers: Counter[str] = Counter()
        for client in clients:
            answers.update(client.status(number, 30) for number in range(1, 101))
        assert answers == {"busy": 10_000 - accepted, "unknown_kind": accepted}
        process.terminate()
        assert process.wait(10) == 0


def offer(port: int, rate_hz: float) -> Offered:
    return open_loop(
        port, rate_hz, 2.0, kind="sleep", payload=b"%g" % TASK_S, deadline_s=DEADLINE_S
    )


@pytest.mark.measured
@pytest.mark.chaos
@pytest.mark.parametrize("overload", [2, 5])
def test_overload_costs_no_goodput_and_no_accepted_task_its_deadline(start_server, overload):
    """Tasks that sleep leave the machine free, so the peak is what two workers can do."""
    server = start_server(workers=2)
    peak_hz = 0.8 * 2 / TASK_S
    calm = offer(server.port, peak_hz)
    pressed = offer(server.port, overload * 2 / TASK_S)
    for offered in (calm, pressed):
        assert sum(offered.answered.values()) == offered.sent
        assert set(offered.answered) <= {"ok", "busy", "expired", "overrun"}
        done = sorted(offered.seconds)
        assert done[int(0.99 * len(done))] <= DEADLINE_S
    assert pressed.goodput(DEADLINE_S, 2.0) >= 0.9 * calm.goodput(DEADLINE_S, 2.0)
    assert pressed.answered["busy"] > 0.3 * pressed.sent


def test_the_earliest_deadline_runs_first(start_server, context, tmp_path):
    client = RawClient(context, start_server().port)
    order = tmp_path / "order"
    blocker = client.send("sleep", b"0.3")
    budgets_s = [50.0, 20.0, 40.0, 10.0, 30.0]
    sent = [client.send("note", f"{order} {s}".encode(), budget_s=s) for s in budgets_s]
    assert {client.status(number) for number in [blocker, *sent]} == {"ok"}
    assert [float(line) for line in order.read_text().split()] == sorted(budgets_s)
    client.close()


def test_a_flood_of_one_client_does_not_keep_another_waiting(start_server, context, tmp_path):
    """The flood's deadlines are the earlier ones; its share is used up first all the same."""
    server = start_server(queue=100, max_open=60)
    flood, modest = RawClient(context, server.port), RawClient(context, server.port)
    blocker = flood.send("sleep", b"0.3")
    sent = [flood.send("sleep", b"0.03", budget_s=30.0) for _ in range(50)]
    assert wait_until(lambda: server.server._dispatcher.queued == 50)
    sent_s = time.monotonic()
    asked = [modest.send("sleep", b"0.03", budget_s=40.0) for _ in range(5)]
    assert {modest.status(number) for number in asked} == {"ok"}
    took_s = time.monotonic() - sent_s
    assert {flood.status(number) for number in [blocker, *sent]} == {"ok"}
    flood_s = time.monotonic() - sent_s
    assert took_s < 0.6 * flood_s  # last of all it would have been in 55 of 55 tasks; here in ~12
    for client in (flood, modest):
        client.close()


def test_a_full_queue_makes_room_for_a_client_that_has_less_in_it(start_server, context):
    server = start_server(queue=4)
    greedy, newcomer = RawClient(context, server.port), RawClient(context, server.port)
    running = greedy.send("sleep", b"0.5")
    waiting = [greedy.send("echo", b"%d" % n, budget_s=10 + n) for n in range(4)]
    assert wait_until(lambda: server.server._dispatcher.queued == 4)
    asked = newcomer.send("echo", b"me")
    assert newcomer.status(asked) == "ok"
    statuses = [greedy.status(number) for number in [running, *waiting]]
    assert statuses == ["ok", "ok", "ok", "ok", "busy"]  # the one with the latest deadline
    for client in (greedy, newcomer):
        client.close()
