"""Tasks that crash, hang or eat memory, requests that come twice, and a server told to end."""

from __future__ import annotations

import os
import signal
import time

import pytest
from running_edge_server import wait_until

from edge_server.protocol import new_task_id


def runs(path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.mark.measured
@pytest.mark.chaos
def test_a_kill_in_mid_task_is_told_at_once_and_costs_one_task(
    start_server, connect, raw, tmp_path
):
    server = start_server(workers=1)
    client, watcher = raw(server.port), connect(server.port)
    marker = tmp_path / "started"
    doomed = client.send("touch_then_sleep", f"{marker} 30".encode())
    behind = [client.send("echo", b"%d" % number) for number in range(5)]
    assert wait_until(lambda: runs(marker) == 1)
    pid = int(marker.read_text())
    os.kill(pid, signal.SIGKILL)
    killed_s = time.monotonic()
    assert client.status(doomed) == "worker_died"
    assert time.monotonic() - killed_s < 1.0
    assert [client.status(number) for number in behind] == ["ok"] * 5
    assert server.server.worker_pids != [pid]
    assert watcher.stats().workers_replaced == 1
    assert runs(marker) == 1


@pytest.mark.chaos
def test_only_the_task_a_worker_is_at_dies_with_it(start_server, raw):
    """Short tasks wait at the worker itself; those a crash leaves behind run elsewhere."""
    client = raw(start_server(workers=1, queue=100, max_open=200).port)
    assert {client.status(client.send("echo")) for _ in range(5)} == {"ok"}  # known to be short
    sent = []
    for number in range(100):
        kind = "crash" if number % 25 == 13 else "echo"
        sent.append((client.send(kind, b"%d" % number), kind))
    answers = {number: client.status(number, 20) for number, _ in sent}
    expected = {number: "ok" if kind == "echo" else "worker_died" for number, kind in sent}
    assert answers == expected


@pytest.mark.chaos
def test_a_task_that_killed_two_workers_is_not_run_again_whoever_asks(start_server, connect, raw):
    server = start_server()
    first, second, watcher = raw(server.port), raw(server.port), connect(server.port)
    assert first.status(first.send("crash", b"poison")) == "worker_died"
    assert second.status(second.send("crash", b"poison")) == "worker_died"
    assert wait_until(lambda: watcher.stats().workers == 1)
    for client in (first, second, raw(server.port)):
        number = client.send("crash", b"poison")
        assert client.status(number) == "quarantined"
    assert watcher.stats().workers_replaced == 2
    assert first.status(first.send("crash", b"p0ison")) == "worker_died"  # as long, but another
    assert first.status(first.send("echo", b"poison")) == "ok"


@pytest.mark.chaos
def test_a_worker_killed_from_outside_twice_convicts_no_task_that_ends_well(start_server, raw):
    server = start_server()
    client = raw(server.port)
    for _ in range(3):
        doomed = client.send("sleep", b"0.4")
        assert wait_until(lambda: server.server._dispatcher.busy == 1)
        os.kill(server.server.worker_pids[0], signal.SIGKILL)
        assert client.status(doomed) == "worker_died"
        assert client.status(client.send("sleep", b"0.4")) == "ok"


@pytest.mark.chaos
def test_a_task_that_wants_too_much_memory_is_told_so_and_loses_its_worker(
    start_server, connect, raw
):
    server = start_server(max_task_memory_bytes=2**28)
    client, watcher = raw(server.port), connect(server.port)
    before = server.server.worker_pids
    assert client.status(client.send("hog", b"%d" % 2**26)) == "ok"
    assert server.server.worker_pids == before
    assert client.status(client.send("hog", b"%d" % 2**29)) == "out_of_memory"
    assert client.status(client.send("echo")) == "ok"
    assert not set(before) & set(server.server.worker_pids)
    assert client.status(client.send("hog", b"%d" % 2**29)) == "out_of_memory"
    assert client.status(client.send("hog", b"%d" % 2**29)) == "quarantined"
    assert wait_until(lambda: watcher.stats().workers_replaced == 2)


@pytest.mark.measured
@pytest.mark.chaos
def test_a_task_that_hangs_is_killed_at_the_servers_limit_and_kept_out_after_two(start_server, raw):
    client = raw(start_server(max_task_s=0.2, overrun_grace_s=0.0).port)
    for _ in range(2):
        sent_s = time.monotonic()
        assert client.status(client.send("sleep", b"30")) == "overrun"
        assert time.monotonic() - sent_s < 2.0
    assert client.status(client.send("sleep", b"30")) == "quarantined"
    assert client.status(client.send("echo")) == "ok"


@pytest.mark.chaos
def test_a_budget_too_short_convicts_nobody(start_server, connect, raw):
    """Else one impatient client could have any other's task kept out."""
    server = start_server(overrun_grace_s=0.0)
    client, watcher = raw(server.port), connect(server.port)
    for killed in range(3):
        assert wait_until(lambda: (s := watcher.stats()).workers == 1 == 1 + s.busy)
        assert client.status(client.send("sleep", b"0.5", budget_s=0.1)) == "overrun"
        assert wait_until(lambda: watcher.stats().workers_replaced == killed + 1)  # noqa: B023
    assert wait_until(lambda: watcher.stats().workers == 1)
    assert client.status(client.send("sleep", b"0.5")) == "ok"


@pytest.mark.measured
@pytest.mark.chaos
def test_a_stopped_worker_leaves_no_task_unanswered(start_server, raw):
    """SIGSTOP with short tasks waiting at the worker: each ends at its own deadline."""
    server = start_server(overrun_grace_s=0.0)
    client = raw(server.port)
    assert {client.status(client.send("echo")) for _ in range(5)} == {"ok"}
    os.kill(server.server.worker_pids[0], signal.SIGSTOP)
    sent_s = time.monotonic()
    short = [client.send("echo", budget_s=0.3) for _ in range(4)]
    patient = [client.send("echo", b"later") for _ in range(4)]
    assert {client.status(number) for number in short} <= {"overrun", "expired"}
    assert time.monotonic() - sent_s < 1.0
    assert [client.status(number) for number in patient] == ["ok"] * 4


def test_a_duplicate_joins_the_task_under_way_and_later_gets_its_answer(
    start_server, raw, tmp_path
):
    server = start_server(workers=2)
    first, second = raw(server.port), raw(server.port)
    marker, task = tmp_path / "started", new_task_id()
    payload = f"{marker} 0.5".encode()
    one = first.send("touch_then_sleep", payload, task=task)
    assert wait_until(lambda: runs(marker) == 1)
    two = second.send("touch_then_sleep", payload, task=task)
    assert (first.status(one), second.status(two)) == ("ok", "ok")
    three = second.send("touch_then_sleep", payload, task=task)
    assert second.status(three) == "ok"
    assert second.outputs[two] == second.outputs[three] == b"touched"
    assert runs(marker) == 1
    other = second.send("touch_then_sleep", payload + b"1", task=task)
    assert second.status(other) == "bad_request"
    assert runs(marker) == 1


def test_a_client_that_comes_back_gets_the_answer_it_missed(start_server, raw, tmp_path):
    server = start_server()
    marker, task = tmp_path / "started", new_task_id()
    payload = f"{marker} 0.3".encode()
    gone = raw(server.port)
    gone.send("touch_then_sleep", payload, task=task)
    assert wait_until(lambda: runs(marker) == 1)
    gone.close()
    back = raw(server.port)
    assert back.status(back.send("touch_then_sleep", payload, task=task)) == "ok"
    assert runs(marker) == 1


@pytest.mark.chaos
def test_a_task_that_died_is_not_tried_again_for_a_duplicate(start_server, connect, raw):
    server = start_server()
    client, task = raw(server.port), new_task_id()
    assert client.status(client.send("crash", task=task)) == "worker_died"
    assert client.status(client.send("crash", task=task)) == "worker_died"
    assert wait_until(lambda: connect(server.port).stats().workers_replaced == 1)


def test_what_was_refused_may_be_asked_for_again(start_server, raw):
    client = raw(start_server(queue=0).port)
    busy = client.send("sleep", b"0.3")
    task = new_task_id()
    refused = client.send("echo", b"again", task=task)
    assert client.status(refused) == "busy"
    assert 0 < client.replies[refused].retry_after_s < 10
    assert client.status(busy) == "ok"
    assert client.status(client.send("echo", b"again", task=task)) == "ok"


@pytest.mark.chaos
def test_a_drain_under_load_leaves_nothing_unanswered(start_server, connect, raw):
    server = start_server(workers=2, queue=50, grace_s=5.0)
    clients = [raw(server.port) for _ in range(5)]
    watcher = connect(server.port)
    for _ in range(16):
        for client in clients:
            client.send("sleep", b"0.02")
    assert wait_until(lambda: watcher.stats().received >= 80)
    server.drain()
    statuses = [client.status(number) for client in clients for number in range(1, 17)]
    assert set(statuses) <= {"ok", "busy", "shutting_down"}
    assert statuses.count("ok") >= 2
    assert statuses.count("shutting_down") >= 10
