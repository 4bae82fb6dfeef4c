"""Cancels on the wire against real servers: what they stop, and what they cannot."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from raw_client import RawClient
from running_edge_server import RunningServer, a_task, alive, wait_until
from slow_relay import SlowRelay

from edge_server.client import EdgeClient
from edge_server.security.allow_list import authorize
from edge_server.security.keys import ClientKeys
from edge_server.security.server_folder import clients_folder, make_pair, make_server_folder
from offload.cancellation import Cancellation
from offload.errors import RemoteCancelled, RemoteTimeout

AGES = b"60"
"""Seconds of a task that nobody in here waits for."""


class Gated:
    """A task that runs until it is let go on."""

    def __init__(self, folder: Path) -> None:
        self._begun, self._go_on = folder / "begun", folder / "go-on"
        self.payload = f"{self._begun} {self._go_on}".encode()

    @property
    def runs(self) -> int:
        """How often it was begun."""
        return len(self._begun.read_text().splitlines()) if self._begun.exists() else 0

    def go_on(self) -> None:
        self._go_on.touch()


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[Gated]:
    task = Gated(tmp_path)
    yield task
    task.go_on()


def idle_cancels(server: RunningServer) -> int:
    return server.server._mailbox.tally.idle_cancels


def runs(server: RunningServer) -> bool:
    return wait_until(lambda: server.server.state().running == 1)


def warm(client: RawClient, kind: str) -> None:
    """Have the one worker run a task of that kind, so that it is known there."""
    assert client.status(client.send(kind, b"0")) == "ok"


def test_a_running_task_is_answered_and_frees_its_worker_for_the_next(start_server, raw):
    server = start_server()
    client = raw(server.port)
    warm(client, "sleep")
    (pid,) = server.server.worker_pids
    running = client.send("sleep", AGES)
    assert runs(server)
    waiting = client.send("echo", b"next")
    client.cancel(running)
    sent_s = time.monotonic()
    assert client.status(running) == "cancelled"
    assert client.status(waiting) == "ok"
    assert time.monotonic() - sent_s < 30.0  # and not after the 60 s of the first
    assert not alive(pid)
    assert client.outputs[waiting] == b"next"


def test_a_cancelled_task_that_ends_in_the_grace_keeps_its_worker(start_server, raw, gated):
    server = start_server(overrun_grace_s=50.0)
    client = raw(server.port)
    pids = server.server.worker_pids
    running = client.send("until", gated.payload)
    assert wait_until(lambda: gated.runs == 1)
    client.cancel(running)
    assert client.status(running) == "cancelled"
    gated.go_on()
    assert client.status(client.send("echo")) == "ok"
    assert server.server.worker_pids == pids


def test_a_waiting_task_is_answered_and_never_begun(start_server, raw, gated, tmp_path):
    server = start_server()
    client, marker = raw(server.port), tmp_path / "marker"
    first = client.send("until", gated.payload)
    waiting = client.send("touch_then_sleep", f"{marker} 0".encode())
    client.cancel(waiting)
    assert client.status(waiting) == "cancelled"
    gated.go_on()
    assert (client.status(first), client.status(client.send("echo"))) == ("ok", "ok")
    assert not marker.exists()


def test_tasks_that_wait_at_their_worker_are_answered_each_once(start_server, raw):
    """Hundreds of short ones, every other cancelled at once: wherever that finds them."""
    server = start_server(queue=500, max_open=500)
    client = raw(server.port)
    for _ in range(5):
        warm(client, "echo")
    sent = [client.send("echo", b"%d" % number) for number in range(300)]
    for number in sent[::2]:
        client.cancel(number)
    kept = {client.status(number) for number in sent[1::2]}
    given_up = {client.status(number) for number in sent[::2]}
    assert kept == {"ok"}
    assert given_up <= {"ok", "cancelled"}
    assert client.read(0.2) is None


def test_cancels_after_the_end_twice_and_of_nothing_are_only_counted(start_server, raw, gated):
    server = start_server(queue=4)
    client = raw(server.port)
    done = client.send("echo", b"out")
    assert client.status(done) == "ok"
    client.cancel(done)
    client.cancel(done, task=os.urandom(16))
    blocker = client.send("until", gated.payload)
    waiting = client.send("echo")
    client.cancel(waiting)
    client.cancel(waiting)
    assert client.status(waiting) == "cancelled"
    gated.go_on()
    assert client.status(blocker) == "ok"
    assert client.read(0.2) is None
    assert idle_cancels(server) == 3


def test_another_clients_cancel_has_no_effect(start_server, raw, gated):
    """It knows the request's number, which is easy, and even the task, which it cannot guess."""
    server = start_server()
    victim, other = raw(server.port), raw(server.port)
    running = victim.send("until", gated.payload)
    assert runs(server)
    other.cancel(running, task=os.urandom(16), attempt=100)
    other.cancel(running, task=victim.tasks[running])
    assert wait_until(lambda: idle_cancels(server) == 2)
    gated.go_on()
    assert victim.status(running) == "ok"


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, ClientKeys]:
    """A server's keys, in the folder keys, and those of two clients that it lets in."""
    folder, devices = tmp_path / "keys", tmp_path / "devices"
    make_server_folder(folder)
    for name in ("phone", "watch"):
        make_pair(devices, name)
        authorize(clients_folder(folder), devices / f"{name}.key")
    return {
        name: ClientKeys.load(devices / f"{name}.key_secret", folder / "server.key")
        for name in ("phone", "watch")
    }


def test_with_keys_a_task_is_its_users_whoever_knows_its_name(start_server, raw, keys, tmp_path):
    server = start_server(keys=tmp_path / "keys")
    phone, watch, again = (raw(server.port, keys[name]) for name in ("phone", "watch", "phone"))
    running = phone.send("sleep", AGES)
    task = phone.tasks[running]
    assert runs(server)
    watch.cancel(running, task=task, attempt=100)
    assert wait_until(lambda: idle_cancels(server) == 1)
    assert server.server.state().running == 1
    second = again.send("sleep", AGES, task=task, attempt=2)  # the phone, on a new connection
    again.cancel(second, attempt=2)
    assert (phone.status(running), again.status(second)) == ("cancelled", "cancelled")


def test_a_retry_keeps_the_task_that_the_first_attempt_gives_up(start_server, raw, gated):
    server = start_server(workers=2)
    lost, retry = raw(server.port), raw(server.port)
    first = lost.send("until", gated.payload)
    assert runs(server)
    second = retry.send("until", gated.payload, task=lost.tasks[first], attempt=2)
    assert wait_until(lambda: server.server.state().received == 2)
    lost.cancel(first)
    assert lost.status(first) == "cancelled"
    gated.go_on()
    assert retry.status(second) == "ok"
    assert gated.runs == 1


def test_a_client_that_runs_out_of_budget_says_so(fake_server, connect):
    cancels: list = []
    client = connect(fake_server(lambda request, payload: [], cancels))
    with pytest.raises(RemoteTimeout):
        client.execute(a_task("echo"), b"", 0.2, attempt=3, task_id=bytes(range(16)))
    assert wait_until(lambda: bool(cancels))
    (cancel,) = cancels
    assert (cancel.task, cancel.attempt) == (bytes(range(16)), 3)


@contextmanager
def calling(
    client: EdgeClient, kind: str, payload: bytes, cancellation: Cancellation
) -> Iterator[list[Exception]]:
    """A call of 60 s in a thread, waited for; what it raised."""
    raised: list[Exception] = []

    def call() -> None:
        try:
            client.execute(a_task(kind), payload, 60.0, cancellation=cancellation)
        except RemoteCancelled as error:
            raised.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    yield raised
    thread.join(30.0)
    assert not thread.is_alive()


def test_a_call_can_be_ended_from_another_thread_and_the_server_stops(start_server, connect):
    server = start_server(overrun_grace_s=0.0)
    client, cancellation = connect(server.port), Cancellation()
    with calling(client, "sleep", AGES, cancellation) as raised:
        assert runs(server)
        cancellation.cancel()
    assert len(raised) == 1
    assert wait_until(lambda: server.server.state().restarts == 1)
    assert client.execute(a_task("echo"), b"on", 30.0).output == b"on"
    assert (client.resets, client.late_replies) == (0, 0)


def test_a_wish_that_came_before_the_call_sends_nothing(start_server, connect):
    server = start_server()
    client, cancellation = connect(server.port), Cancellation()
    client.ping(10.0)
    received = server.server.state().received
    cancellation.cancel()
    cancellation.cancel()
    with pytest.raises(RemoteCancelled):
        client.execute(a_task("echo"), b"", 5.0, cancellation=cancellation)
    assert client.execute(a_task("echo"), b"next", 30.0, cancellation=Cancellation()).output
    assert server.server.state().received == received + 1


def test_an_upload_under_way_is_cut_off_and_what_was_sent_of_it_never_runs(start_server, connect):
    """8 MB at 200 kB/s would take 40 s."""
    server, cancellation = start_server(), Cancellation()
    with SlowRelay(server.port, bytes_per_s=200_000) as relay:
        client = connect(relay.port)
        client.ping(10.0)
        received = server.server.state().received
        with calling(client, "echo", bytes(8_000_000), cancellation) as raised:
            assert wait_until(lambda: relay.forwarded_bytes > 20_000)
            cancellation.cancel()
        assert len(raised) == 1
        assert client.resets == 1
        assert client.execute(a_task("echo"), b"next", 30.0).output == b"next"
        assert server.server._mailbox.tally.outcomes == {"ok": 1}
        assert server.server.state().received <= received + 2  # the echo, and a ping before it


def test_a_call_that_waits_for_its_connection_ends_too(connect):
    cancellation = Cancellation()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = connect(silent.getsockname()[1])
        with calling(client, "echo", b"", cancellation) as raised:
            cancellation.cancel()
    assert len(raised) == 1
