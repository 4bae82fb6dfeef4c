"""The client against servers that are dead, late, slow, restarted or mad."""

from __future__ import annotations

import contextlib
import resource
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running_edge_server import RunningServer, a_task, free_port, wait_until
from slow_relay import SlowRelay

from edge_server.client import EdgeClient
from edge_server.config import ServerConfig
from edge_server.protocol import Done, Ping, Pong, Request, Run, Times, encode
from offload.errors import (
    ConfigError,
    RemoteError,
    RemoteFailure,
    RemoteTimeout,
)

pytestmark = pytest.mark.measured


def timed_out_after(client: EdgeClient, budget_s: float, payload: bytes = b"") -> float:
    start_s = time.monotonic()
    with pytest.raises(RemoteTimeout):
        client.execute(a_task("echo"), payload, budget_s)
    return time.monotonic() - start_s


def test_a_client_goes_on_after_a_timeout(start_server, connect):
    client = connect(start_server(overrun_grace_s=5).port)
    with pytest.raises(RemoteTimeout):
        client.execute(a_task("sleep"), b"0.3", 0.1)
    result = client.execute(a_task("echo"), b"next", 5.0)
    assert result.output == b"next"
    assert client.late_replies <= 1  # 0 where the server's own `overrun` came in time
    assert client.resets == 0


def test_a_late_result_is_never_taken_for_the_next_one(fake_server, connect):
    """The server answers each request only when the next one has come."""
    kept: list[list[bytes]] = []
    times = Times(0.0, 0.0, "other")

    def late(request: Request, payload: bytes) -> list[list[bytes]]:
        if isinstance(request, Ping):
            return [[encode(Pong(request.id, times, 1000)), b""]]
        answers = [*kept, [encode(Done(request.id, times)), payload]] if kept else []
        kept[:] = [[encode(Done(request.id, times)), payload]]
        return answers

    client = connect(fake_server(late))
    assert timed_out_after(client, 0.2, b"first") < 0.5
    assert client.execute(a_task("echo"), b"second", 2.0).output == b"second"
    assert client.late_replies == 1


@contextlib.contextmanager
def few_descriptors() -> Iterator[Callable[[], None]]:
    """Nobody has a descriptor left whenever what this gives has been called."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    with contextlib.ExitStack() as held:
        held.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))

        def take_all() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.enter_context(open("/dev/null"))

        yield take_all


def test_a_program_without_a_descriptor_left_is_told_and_goes_on_once_it_has_some(
    start_server, connect
):
    client = connect(start_server().port)
    assert client.execute(a_task("echo"), b"before", 20.0).output == b"before"

    def is_told() -> bool:
        client.reconnect()  # libzmq gives the old one's descriptors back a little later
        take_all()
        try:
            client.execute(a_task("echo"), b"", 0.2)
        except RemoteError as error:
            return "can be made: Too many open files" in str(error)
        return False

    with few_descriptors() as take_all:
        assert wait_until(is_told)
        assert (client.congestion_control(), client.acknowledged_bytes()) == (None, None)
    assert client.execute(a_task("echo"), b"after", 20.0).output == b"after"


def test_nobody_listens(connect):
    client = connect(free_port())
    assert timed_out_after(client, 5.0) < 1.0  # refused: known at once
    assert timed_out_after(client, 5.0) < 0.1
    with pytest.raises(RemoteTimeout):
        client.ping()


def test_a_host_that_never_answers_costs_the_budget_and_no_more(connect):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = connect(silent.getsockname()[1])
        assert 0.3 <= timed_out_after(client, 0.3) < 0.5
        assert timed_out_after(client, 0.0) < 0.1


def test_the_server_dies_under_way(connect):
    server = RunningServer(ServerConfig(port=0, workers=1, grace_s=0))
    client = connect(server.port)
    client.ping()
    thread = threading.Thread(target=server.stop)
    start_s = time.monotonic()
    thread.start()
    with pytest.raises((RemoteTimeout, RemoteFailure)):
        client.execute(a_task("sleep"), b"20", 30.0)
    thread.join()
    assert time.monotonic() - start_s < 3.0
    assert timed_out_after(client, 5.0) < 1.5


def test_a_restarted_server_is_found_again_and_gets_no_old_request(connect, tmp_path):
    first = RunningServer(ServerConfig(port=0, workers=1))
    client = connect(first.port)
    client.ping()
    first.stop()
    marker = tmp_path / "started"
    with pytest.raises(RemoteTimeout):
        client.execute(a_task("touch_then_sleep"), f"{marker} 0".encode(), 0.3)
    second = RunningServer(ServerConfig(port=first.port, workers=1))
    try:

        def back() -> bool:
            try:
                return client.execute(a_task("echo"), b"back", 1.0).output == b"back"
            except RemoteTimeout:
                return False

        assert wait_until(back, 5.0)
        assert not marker.exists()
    finally:
        second.stop()


def test_what_was_sent_into_a_broken_connection_is_not_run_by_the_next_server(
    connect, tmp_path, monkeypatch
):
    """The break is not yet known when the request is sent: ZeroMQ keeps it for the next peer."""
    first = RunningServer(ServerConfig(port=0, workers=1))
    client = connect(first.port)
    client.ping()
    first.stop()
    time.sleep(0.1)
    marker = tmp_path / "started"
    with monkeypatch.context() as patch:
        patch.setattr(client._exchange, "wait_connected", lambda deadline_s: None)
        with pytest.raises(RemoteTimeout, match="broke"):
            client.execute(a_task("touch_then_sleep"), f"{marker} 0".encode(), 5.0)
    second = RunningServer(ServerConfig(port=first.port, workers=1))
    try:

        def back() -> bool:
            try:
                return client.ping(0.5) < 1.0
            except RemoteTimeout:
                return False

        assert wait_until(back, 5.0)
        time.sleep(0.1)
        assert client.stats().answered == {}
        assert not marker.exists()
    finally:
        second.stop()


def test_an_abandoned_upload_does_not_block_the_next_request(start_server, connect):
    """2 MB at 400 kB/s would go on for 4.5 s after its budget; it is dropped, kernel and all."""
    with SlowRelay(start_server().port, bytes_per_s=400_000) as relay:
        client = connect(relay.port)
        client.ping()
        assert 0.5 <= timed_out_after(client, 0.5, bytes(2_000_000)) < 0.8
        start_s = time.monotonic()
        assert client.execute(a_task("echo"), b"next", 5.0).output == b"next"
        assert time.monotonic() - start_s < 1.5
        assert client.resets == 1
        forwarded = relay.forwarded_bytes
        assert forwarded < 800_000
        time.sleep(0.5)  # 200 kB of it would pass
        assert relay.forwarded_bytes - forwarded < 70_000  # what the relay itself had received


def test_a_slow_upload_counts_as_upload(start_server, connect):
    with SlowRelay(start_server().port, bytes_per_s=500_000) as relay:
        client = connect(relay.port)
        client.ping()
        cost = client.execute(a_task("echo"), bytes(250_000), 5.0).cost
    assert cost.upload_s >= 0.4
    assert cost.upload_s > 2.0 * (cost.download_s + cost.queue_s + cost.compute_s)


def test_transfer_is_split_by_the_clock_offset_of_another_machine(fake_server, connect):
    """The server's clock is 1000 s ahead; the upload takes 0.2 s, the task 0.1, queueing 0.1."""

    def answer(request: Request, payload: bytes) -> list[list[bytes]]:
        if isinstance(request, Run):
            time.sleep(0.2)
            received_s = time.monotonic() + 1000
            time.sleep(0.2)
            times = Times(received_s, time.monotonic() + 1000, "elsewhere", compute_s=0.1)
            return [[encode(Done(request.id, times)), b"out"]]
        now_s = time.monotonic() + 1000
        return [[encode(Pong(request.id, Times(now_s, now_s, "elsewhere"), 1000)), b""]]

    client = connect(fake_server(answer))
    assert client.ping() < 0.1
    assert client.clock_offset_s() == pytest.approx(1000, abs=0.05)
    cost = client.execute(a_task("echo"), b"", 5.0).cost
    assert cost.upload_s == pytest.approx(0.2, abs=0.05)
    assert cost.queue_s == pytest.approx(0.1, abs=0.05)
    assert cost.compute_s == 0.1
    assert cost.download_s < 0.05


@pytest.mark.parametrize(
    "times",
    [Times(-1e9, 1e9, "x", 1e9), Times(1e9, -1e9, "x"), Times(0.0, 0.0, "x", 5.0)],
)
def test_absurd_times_of_a_server_still_sum_to_what_was_measured(fake_server, connect, times):
    def answer(request: Request, payload: bytes) -> list[list[bytes]]:
        if isinstance(request, Ping):
            return [[encode(Pong(request.id, times, 1000)), b""]]
        return [[encode(Done(request.id, times)), b""]]

    client = connect(fake_server(answer))
    client.ping()
    start_s = time.monotonic()
    cost = client.execute(a_task("echo"), b"", 5.0).cost
    total_s = time.monotonic() - start_s
    assert min(cost.upload_s, cost.queue_s, cost.compute_s, cost.download_s) >= 0
    assert 0 <= total_s - cost.seconds < 0.02


@pytest.mark.parametrize(
    "frames",
    [
        [b"rubbish", b""],
        [encode(Done(2, Times(0.0, float("nan"), "x"))), b""],
        [encode(Done(2, Times(0.0, 0.0, "x")))],
        [encode(Done(2, Times(0.0, 0.0, "x"))), b"", b""],
        [encode(Run(2, "echo", 1, bytes(16))), b""],
        [encode(Pong(2, Times(0.0, 0.0, "x"), 1)), b""],
    ],
)
def test_a_mad_servers_reply_is_a_typed_failure(fake_server, connect, frames):
    client = connect(fake_server(lambda request, payload: [frames]))
    with pytest.raises(RemoteFailure) as info:
        client.execute(a_task("echo"), b"", 2.0)
    assert info.value.code in ("bad_reply", "bad_request")
    with pytest.raises(RemoteError):  # a second call fails too, and does not hang
        client.execute(a_task("echo"), b"", 0.5)


def test_congestion_control_is_what_the_kernel_has(start_server, connect):
    port = start_server().port
    for name in ("reno", "bbr"):
        try:
            client = connect(port, congestion_control=name)
        except ConfigError as error:
            pytest.skip(f"this kernel lacks {name}: {error}")
        client.ping()
        assert client.congestion_control() == name


def test_the_servers_answers_use_the_congestion_control_it_was_given(start_server, connect):
    """Read from the kernel's table of connections, which `ss` prints."""
    try:
        server = start_server(congestion_control="bbr")
    except ConfigError as error:
        pytest.skip(f"this kernel lacks bbr: {error}")
    client = connect(server.port, congestion_control="reno")
    client.ping()
    command = ["ss", "-Htin", "state", "established", f"( sport = :{server.port} )"]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert " bbr " in f" {table} "
    assert client.congestion_control() == "reno"


def test_a_ping_tells_how_long_a_task_would_wait(start_server, connect):
    server = start_server()
    client, other = connect(server.port), connect(server.port)
    assert client.edge_state().age_s == float("inf")
    client.execute(a_task("sleep"), b"0.4", 5.0)
    thread = threading.Thread(target=other.execute, args=(a_task("sleep"), b"0.4", 5.0))
    thread.start()
    assert wait_until(lambda: client.stats().busy == 1)
    client.ping()
    edge = client.edge_state()
    thread.join()
    assert edge.queue_s == pytest.approx(0.2, abs=0.05)  # half of a task of 0.4 s
    assert edge.age_s < 0.1
    client.ping()
    assert client.edge_state().queue_s == 0.0


def test_bad_settings_are_clear_errors(connect):
    with pytest.raises(ConfigError, match="congestion control 'fastest'"):
        connect(5555, congestion_control="fastest")
    with pytest.raises(ConfigError, match="port is 0"):
        connect(0)
    with pytest.raises(ConfigError, match="not a number"):
        connect(free_port()).execute(a_task("echo"), b"", float("nan"))


def test_closing_twice_and_closing_under_way(start_server):
    client = EdgeClient(port=start_server().port)
    with client, pytest.raises(RemoteTimeout):
        client.execute(a_task("sleep"), b"0.5", 0.05)
    client.close()


def test_the_kernel_tells_how_much_was_acknowledged(start_server, connect):
    client = connect(start_server().port)
    assert client.acknowledged_bytes() is None  # not connected yet, or not known to be
    client.ping(10.0)
    before = client.acknowledged_bytes()
    assert before is not None
    client.execute(a_task("echo"), bytes(100_000), 30.0)
    sent = 100_000 + 2 * 200  # headers and frames' lengths take less than 200 bytes
    assert wait_until(lambda: 100_000 <= client.acknowledged_bytes() - before <= sent)
