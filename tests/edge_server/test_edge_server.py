"""A real server and real clients on the loopback."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time

import pytest
import zmq
from running_edge_server import a_task, alive, wait_until

from edge_server.config import ServerConfig
from edge_server.protocol import Done, Failed, Run, decode_reply, encode, new_task_id
from edge_server.server import EdgeServer
from edge_server.stop_signal import StopSignal
from offload.errors import ConfigError, RemoteBusy, RemoteError, RemoteFailure, RemoteTimeout
from offload.types import Outcome


def failure(client, kind: str, payload: bytes = b"", budget_s: float = 5.0) -> str:
    with pytest.raises(RemoteFailure) as info:
        client.execute(a_task(kind), payload, budget_s)
    return info.value.code


@pytest.mark.parametrize("size", [0, 1, 32_767, 32_768, 65_535, 65_536, 3_000_000, 5_000_000])
def test_echo_of_every_size(start_server, connect, size):
    client = connect(start_server().port)
    payload = os.urandom(size)
    result = client.execute(a_task("echo"), payload, 5.0)
    assert (result.output, result.outcome) == (payload, Outcome.REMOTE_OK)


@pytest.mark.measured
def test_measured_seconds_are_split_and_sum_to_the_clients_total(start_server, connect):
    client = connect(start_server().port)
    client.ping()
    start_s = time.monotonic()
    cost = client.execute(a_task("sleep"), b"0.2", 5.0).cost
    total_s = time.monotonic() - start_s
    assert cost.compute_s == pytest.approx(0.2, abs=0.05)
    assert 0 <= total_s - cost.seconds < 0.02
    terms = (cost.upload_s, cost.queue_s, cost.download_s)
    assert all(0 <= term < 0.1 for term in terms)


@pytest.mark.measured
def test_waiting_for_a_worker_is_queueing(start_server, connect):
    port = start_server().port
    first, second = connect(port), connect(port)
    for client in (first, second):
        client.ping()
    thread = threading.Thread(target=first.execute, args=(a_task("sleep"), b"0.4", 5.0))
    thread.start()
    time.sleep(0.1)
    cost = second.execute(a_task("sleep"), b"0.1", 5.0).cost
    thread.join()
    assert cost.queue_s == pytest.approx(0.3, abs=0.1)
    assert cost.compute_s == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("nonsense", "unknown_kind"),
        ("No Kind", "bad_request"),
        ("fail", "task_failed"),
        ("not_bytes", "task_failed"),
        ("bad_input", "bad_request"),
        ("crash", "worker_died"),
        ("exit", "worker_died"),
    ],
)
def test_each_failure_has_its_code_and_the_server_goes_on(start_server, connect, kind, code):
    client = connect(start_server().port)
    assert failure(client, kind) == code
    assert client.execute(a_task("echo"), b"on", 5.0).output == b"on"


def test_too_large_both_ways(start_server, connect):
    port = start_server(max_message_bytes=1000).port
    client = connect(port)
    assert failure(client, "echo", bytes(1001)) == "too_large"  # said by the server
    assert client.execute(a_task("echo"), bytes(1000), 5.0).output == bytes(1000)
    assert failure(client, "grow", b"1001") == "too_large"
    client.ping()
    received = client.stats().received
    assert failure(client, "echo", bytes(1001)) == "too_large"  # known now: not even sent
    assert client.stats().received == received + 1


def test_tasks_run_with_one_thread_and_their_prints_do_no_harm(start_server, connect):
    client = connect(start_server().port)
    assert client.execute(a_task("threads"), b"", 5.0).output == b"1"
    assert client.execute(a_task("print"), b"", 5.0).output == b""


def test_busy_when_the_queue_is_full(start_server, connect, tmp_path):
    server = start_server(queue=1)
    clients = [connect(server.port) for _ in range(3)]
    marker = tmp_path / "started"
    payload = f"{marker} 1.0".encode()
    threads = []
    for client in clients[:2]:
        threads.append(
            threading.Thread(target=client.execute, args=(a_task("touch_then_sleep"), payload, 5.0))
        )
        threads[-1].start()
    # One runs and one waits: the server says so, though a client can only ask.
    assert wait_until(lambda: (s := clients[2].stats()).busy == 1 and s.queued == 1)
    with pytest.raises(RemoteBusy, match="1 tasks running and 1 waiting"):
        clients[2].execute(a_task("echo"), b"", 5.0)
    for thread in threads:
        thread.join()
    assert len(marker.read_text().splitlines()) == 2


@pytest.mark.measured
def test_an_expired_request_is_never_started(start_server, connect, tmp_path):
    server = start_server()
    first, second = connect(server.port), connect(server.port)
    thread = threading.Thread(target=first.execute, args=(a_task("sleep"), b"0.6", 5.0))
    thread.start()
    assert wait_until(lambda: second.stats().busy == 1)
    marker = tmp_path / "started"
    with pytest.raises(RemoteError):
        second.execute(a_task("touch_then_sleep"), f"{marker} 0".encode(), 0.2)
    thread.join()
    assert second.execute(a_task("echo"), b"", 5.0).outcome is Outcome.REMOTE_OK
    assert not marker.exists()
    answered = second.stats().answered  # the client gives it up when the server does
    assert answered in ({"ok": 2, "expired": 1}, {"ok": 2, "cancelled": 1})


@pytest.mark.measured
def test_an_overrun_is_killed_with_all_it_started(start_server, connect, tmp_path):
    client = connect(start_server(overrun_grace_s=0.1).port)
    pid_file = tmp_path / "pid"
    start_s = time.monotonic()
    with pytest.raises(RemoteError):
        client.execute(a_task("grandchild"), str(pid_file).encode(), 0.5)
    assert time.monotonic() - start_s < 1.0
    assert wait_until(lambda: client.stats().workers_replaced == 1)
    answered = client.stats().answered  # the client gives it up when the server does
    assert answered in ({"overrun": 1}, {"cancelled": 1})
    assert wait_until(lambda: not alive(int(pid_file.read_text())))
    assert client.execute(a_task("echo"), b"on", 5.0).output == b"on"


@pytest.mark.measured
def test_the_servers_own_limit_on_a_task(start_server, connect):
    client = connect(start_server(max_task_s=0.2).port)
    start_s = time.monotonic()
    with pytest.raises(RemoteTimeout, match="overrun"):
        client.execute(a_task("sleep"), b"30", 5.0)
    assert time.monotonic() - start_s < 1.0


@pytest.mark.measured
def test_an_overrun_within_the_grace_keeps_its_worker(start_server, connect):
    client = connect(start_server(max_task_s=0.2, overrun_grace_s=5).port)
    pid = client.execute(a_task("pid"), b"", 5.0).output
    with pytest.raises(RemoteTimeout, match="overrun"):
        client.execute(a_task("sleep"), b"0.4", 5.0)
    assert client.execute(a_task("pid"), b"", 5.0).output == pid


@pytest.mark.chaos
def test_killed_workers_cost_their_own_task_only(start_server):
    """Requests of twelve clients, every eighth a crash: each id is answered exactly once."""
    server = start_server(workers=2, queue=1000)
    with zmq.Context() as context:
        answers: list[tuple[int, int, str]] = []
        sockets = [context.socket(zmq.DEALER) for _ in range(12)]
        for socket_ in sockets:
            socket_.connect(f"tcp://127.0.0.1:{server.port}")
            for number in range(1, 17):  # all that one connection may have open
                kind = "crash" if number % 8 == 0 else "echo"
                socket_.send_multipart(
                    [encode(Run(number, kind, 60_000, new_task_id())), b"%d" % number]
                )
        for client, socket_ in enumerate(sockets):
            for _ in range(16):
                assert socket_.poll(20_000), f"client {client}: {len(answers)} answers"
                header, output = socket_.recv_multipart()
                reply = decode_reply(header)
                if isinstance(reply, Done):
                    assert output == b"%d" % reply.id
                    answers.append((client, reply.id, "ok"))
                else:
                    assert isinstance(reply, Failed)
                    answers.append((client, reply.id, reply.code.value))
            assert not socket_.poll(100)
            socket_.close(linger=0)
    expected = [
        (client, number, "worker_died" if number % 8 == 0 else "ok")
        for client in range(12)
        for number in range(1, 17)
    ]
    assert sorted(answers) == expected


@pytest.mark.chaos
def test_a_worker_killed_from_outside_is_replaced(start_server, connect):
    server = start_server(workers=2)
    client = connect(server.port)
    before = server.server.worker_pids
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: (s := client.stats()).workers == 2 and s.workers_replaced == 2)
    assert not set(before) & set(server.server.worker_pids)
    assert client.execute(a_task("echo"), b"on", 5.0).output == b"on"


@pytest.mark.measured
@pytest.mark.chaos
def test_a_stopped_worker_does_not_stop_the_server(start_server, connect):
    """SIGSTOP: its channel fills up, the loop goes on, the budget kills it."""
    server = start_server(workers=1, overrun_grace_s=0)
    client = connect(server.port)
    client.execute(a_task("echo"), b"", 5.0)
    os.kill(server.server.worker_pids[0], signal.SIGSTOP)
    with pytest.raises(RemoteError):
        client.execute(a_task("echo"), bytes(5_000_000), 0.5)
    assert client.ping() < 0.5
    assert client.execute(a_task("echo"), b"on", 5.0).output == b"on"


def test_many_frames_and_other_rubbish_get_typed_answers(start_server, connect):
    server = start_server(max_message_bytes=1000)
    run = encode(Run(3, "echo", 1000, new_task_id()))
    cases: list[tuple[list[bytes], int, str]] = [
        ([run, b"x"] + [b"y" * 500] * 62, 3, "bad_request"),
        ([run], 3, "bad_request"),
        ([run, bytes(1001)], 3, "too_large"),
        ([b"", b""], 0, "bad_request"),
        ([b"OFLD\x02" + b"\x91" * 4000, b""], 0, "bad_request"),
        ([b"OFLD\x09" + run[5:], b""], 3, "version"),
        ([run + bytes(5000), b""], 0, "too_large"),
    ]
    with zmq.Context() as context, context.socket(zmq.DEALER) as raw:
        raw.setsockopt(zmq.LINGER, 0)
        raw.connect(f"tcp://127.0.0.1:{server.port}")
        for frames, request_id, code in cases:
            raw.send_multipart(frames)
            assert raw.poll(5000), code
            reply = decode_reply(raw.recv_multipart()[0])
            assert isinstance(reply, Failed)
            assert (reply.id, reply.code.value) == (request_id, code)
        raw.send_multipart([run, b"ok"])
        assert raw.poll(5000)
        assert raw.recv_multipart()[1] == b"ok"


def test_a_frame_far_over_the_limit_closes_that_connection_only(start_server, connect):
    server = start_server(max_message_bytes=1000)
    good, bad = connect(server.port), connect(server.port)
    good.ping()
    with pytest.raises(RemoteTimeout, match="broke"):
        bad.execute(a_task("echo"), bytes(3_000_000), 5.0)
    assert good.execute(a_task("echo"), b"on", 5.0).output == b"on"
    assert wait_until(lambda: can_ping(bad))


def can_ping(client) -> bool:
    try:
        client.ping(0.5)
    except RemoteTimeout:
        return False
    return True


@pytest.mark.measured
def test_bytes_that_are_not_zeromq_do_no_harm(start_server, connect):
    server = start_server()
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100)
        assert connect(server.port).ping() < 1.0


def test_several_clients_get_their_own_answers(start_server, connect):
    server = start_server(workers=2, queue=100)
    wrong: list[bytes] = []

    def work(client, name: bytes) -> None:
        for number in range(100):
            payload = name + b"%d" % number
            if client.execute(a_task("echo"), payload, 10.0).output != payload:
                wrong.append(payload)

    threads = [
        threading.Thread(target=work, args=(connect(server.port), b"client %d " % number))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert connect(server.port).stats().answered == {"ok": 600}


def test_a_client_that_reads_nothing_costs_bounded_memory(start_server, connect):
    """Its answers are dropped at the high-water mark; another client is served meanwhile."""
    server = start_server(queue=1000)
    with zmq.Context() as context, context.socket(zmq.DEALER) as deaf:
        deaf.setsockopt(zmq.LINGER, 0)
        deaf.setsockopt(zmq.RCVHWM, 1)
        deaf.setsockopt(zmq.RCVBUF, 4096)
        deaf.setsockopt(zmq.SNDHWM, 0)
        deaf.connect(f"tcp://127.0.0.1:{server.port}")
        client = connect(server.port)
        for wave in range(5):
            for number in range(1, 17):
                deaf.send_multipart(
                    [encode(Run(number, "grow", 60_000, new_task_id())), b"1000000"]
                )
            expected = 16 * (wave + 1)
            assert wait_until(lambda: client.stats().answered.get("ok", 0) == expected)  # noqa: B023
        assert client.stats().undeliverable > 0
        assert client.execute(a_task("echo"), b"on", 5.0).output == b"on"


def test_draining_ends_what_runs_and_refuses_the_rest(start_server, connect):
    server = start_server(grace_s=5.0)
    running, waiting, late = (connect(server.port) for _ in range(3))
    late.ping()
    results: dict[str, object] = {}

    def work(name: str, client, payload: bytes) -> None:
        try:
            results[name] = client.execute(a_task("sleep"), payload, 10.0).output
        except RemoteFailure as error:
            results[name] = error.code

    threads = [threading.Thread(target=work, args=("running", running, b"0.6"))]
    threads[0].start()
    assert wait_until(lambda: late.stats().busy == 1)
    threads.append(threading.Thread(target=work, args=("waiting", waiting, b"0.1")))
    threads[1].start()
    assert wait_until(lambda: late.stats().queued == 1)
    server.drain()
    assert wait_until(lambda: "waiting" in results)
    assert failure(late, "echo") == "shutting_down"
    for thread in threads:
        thread.join()
    assert results == {"running": b"slept", "waiting": "shutting_down"}


@pytest.mark.measured
def test_the_grace_period_is_kept(start_server, connect):
    server = start_server(grace_s=0.3)
    client, other = connect(server.port), connect(server.port)
    start: list[float] = []

    def stop_when_busy() -> None:
        wait_until(lambda: other.stats().busy == 1)
        start.append(time.monotonic())
        server.drain()

    thread = threading.Thread(target=stop_when_busy)
    thread.start()
    assert failure(client, "sleep", b"30", 40.0) == "shutting_down"
    assert time.monotonic() - start[0] == pytest.approx(0.3, abs=0.2)
    thread.join()


def test_a_taken_port_is_one_clear_error():
    with (
        EdgeServer(ServerConfig(port=0)) as first,
        pytest.raises(ConfigError, match=f"127.0.0.1:{first.port}: the port is taken"),
    ):
        EdgeServer(ServerConfig(port=first.port))


def test_an_address_of_another_machine_is_one_clear_error():
    with pytest.raises(ConfigError, match="not one of this machine's"):
        EdgeServer(ServerConfig(bind="192.0.2.1", port=0, insecure_let_anybody_in=True))


@pytest.mark.parametrize(
    "settings",
    [{"port": 70000}, {"workers": 0}, {"queue": -1}, {"max_task_s": float("nan")}, {"bind": ""}],
)
def test_settings_out_of_bounds(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        ServerConfig(**settings)


def test_only_functions_that_workers_can_import():
    with pytest.raises(ConfigError, match="top-level function"):
        EdgeServer(ServerConfig(port=0), run_task=lambda kind, payload: payload)


def test_only_signals_that_end_a_server_ask_it_to_stop():
    stop = StopSignal()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    other = signal.signal(signal.SIGUSR1, lambda number, frame: None)
    stop.on_signals()
    try:
        for number, asked in ((signal.SIGUSR1, 0), (signal.SIGTERM, 1), (signal.SIGINT, 1)):
            signal.raise_signal(number)
            assert stop.take() == asked, number
        stop.send()
        assert stop.take() == 1
    finally:
        stop.close()
        for number, handler in (*before.items(), (signal.SIGUSR1, other)):
            signal.signal(number, handler)


def test_a_stop_that_comes_as_the_server_ends_is_no_error():
    """Nor does it write into what has the pipe's descriptors by then."""
    stop = StopSignal()
    stop.close()
    reader, writer = os.pipe2(os.O_NONBLOCK)
    stop.send()
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    os.close(reader)
    os.close(writer)
