"""What one peer, or all of them, can make the server hold."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from running_edge_server import a_task, wait_until

from edge_server.__main__ import main
from edge_server.client import EdgeClient
from edge_server.config import ServerConfig
from edge_server.protocol import Done, Ping, Pong, Run, decode_reply, encode, new_task_id
from edge_server.security.gate import _most_connections
from edge_server.security.heap import heap_bytes
from evidence.chaos.zmtp import RawPeer, frame, greeting

ROOT = Path(__file__).parents[3]
MIB = 2**20


@pytest.fixture
def served_process() -> Iterator[tuple[int, int]]:
    """(pid, port) of a server in a process of its own, whose memory is nobody else's."""
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_server", "--port", "0", "--workers", "1"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline().split(":")[2].split()[0])
        process.terminate()


def rss_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.chaos
@pytest.mark.parametrize("frame_bytes", [65_536, 1_000])
def test_a_message_that_never_ends_is_cut_off(served_process, frame_bytes):
    pid, port = served_process
    piece = frame(bytes(frame_bytes), more=True) * (262_144 // frame_bytes)
    with EdgeClient(port=port) as good:
        good.ping()
        before, peak = rss_bytes(pid), 0
        with RawPeer(port, timeout_s=20.0) as peer:
            peer.shake_hands()
            sent = 0
            while sent < 1024 * MIB and peer.send(piece):
                sent += len(piece)
                peak = max(peak, rss_bytes(pid))
        assert sent < 1024 * MIB  # 17 MiB is the limit; a fast sender gets further before the look
        # Without the bound the server holds all of the 1,024 MiB.
        assert peak - before < 400 * MIB
        assert good.ping(5.0) < 5.0
        assert wait_until(lambda: rss_bytes(pid) - before < 64 * MIB, 5.0)


def test_a_slow_message_of_the_largest_size_is_not(start_server):
    server = start_server(max_message_bytes=3 * MIB)
    payload = os.urandom(3 * MIB)
    header = encode(Run(1, "echo", 60_000, new_task_id()))
    message = frame(header, more=True) + frame(payload)
    with RawPeer(server.port, timeout_s=20.0) as peer:
        peer.shake_hands()
        for _ in range(2):
            for start in range(0, len(message), MIB // 2):
                assert peer.send(message[start : start + MIB // 2])
                time.sleep(0.1)  # two looks
            assert b"".join(peer.receive_message()[1:]) == payload
    assert not [name for name in server.server._gate.counts if name.startswith("closed")]


def test_the_unfinished_messages_of_all_peers_together_are_bounded(start_server, connect):
    """Eight messages of the largest size may be begun at once; beyond it the silent peers go."""
    server = start_server(max_message_bytes=MIB)
    good = connect(server.port)
    good.ping()
    peers = [RawPeer(server.port) for _ in range(12)]
    try:
        for peer in peers:
            peer.shake_hands()
            peer.send(frame(bytes(2 * MIB - 20_000), more=True))
        gate = server.server._gate
        # 12 times 1.98 MiB against 8 of 2 MiB and 4 kB: four have to go.
        assert wait_until(lambda: gate.counts["closed_unfinished_messages"] == 4, 5.0)
        time.sleep(0.2)
        assert gate.counts["closed_unfinished_messages"] == 4
        assert sum(peer.is_closed(0.05) for peer in peers) == 4
        assert good.execute(a_task("echo"), b"still here", 5.0).output == b"still here"
    finally:
        for peer in peers:
            peer.socket.close()


def test_silent_connections_make_room_for_those_that_speak(start_server, connect):
    server = start_server(max_connections=8)
    good = connect(server.port)
    good.ping()
    peers = [RawPeer(server.port) for _ in range(30)]
    try:
        assert wait_until(lambda: sum(peer.is_closed(0.001) for peer in peers) >= 23, 5.0)
        assert good.execute(a_task("echo"), b"still here", 5.0).output == b"still here"
        late = connect(server.port)
        assert late.execute(a_task("echo"), b"me too", 5.0).output == b"me too"
        assert wait_until(lambda: server.server._gate.connections <= 8, 5.0)
    finally:
        for peer in peers:
            peer.socket.close()


def test_a_server_without_a_descriptor_left_goes_on(served_process):
    """Beyond what it may keep to itself connections are closed; here it had no time to."""
    pid, port = served_process
    with EdgeClient(port=port) as good, contextlib.ExitStack() as crowd:
        good.ping()
        (worker,) = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        limit = len(os.listdir(f"/proc/{pid}/fd")) + 8  # a start takes seven for a moment
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, limit))
        for _ in range(20):
            crowd.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert wait_until(lambda: len(os.listdir(f"/proc/{pid}/fd")) == limit)
        time.sleep(1.0)  # what libzmq says of each vain attempt would have piled up
        os.kill(worker, signal.SIGKILL)  # the crowd takes its descriptors: it cannot be replaced
        assert wait_until(lambda: good.stats(10.0).workers == 0)
        crowd.close()
        assert wait_until(lambda: good.stats(10.0).workers == 1, 20.0)


def test_no_more_connections_than_descriptors_last_for(monkeypatch, caplog):
    config = ServerConfig(workers=2, max_connections=100)
    for limit, most in ((1024, 100), (resource.RLIM_INFINITY, 100), (96, 30), (16, 1)):
        monkeypatch.setattr(resource, "getrlimit", lambda which, soft=limit: (soft, soft))
        assert _most_connections(config) == most
    assert "at most 30 connections, not 100" in caplog.text


def test_a_handshake_that_is_not_finished_ends(start_server, monkeypatch):
    monkeypatch.setattr("edge_server.security.gate._HANDSHAKE_MS", 300)
    server = start_server()
    for opening in (b"", greeting()[:20], greeting()):
        with RawPeer(server.port) as peer:
            peer.send(opening)
            assert not peer.is_closed(0.1)
            assert peer.is_closed(3.0)


def test_answers_that_are_left_unread_are_bounded(start_server, connect):
    server = start_server(max_message_bytes=4 * MIB, workers=2)
    before = heap_bytes()
    assert before is not None
    with zmq.Context() as context, context.socket(zmq.DEALER) as deaf:
        deaf.setsockopt(zmq.LINGER, 0)
        deaf.setsockopt(zmq.RCVHWM, 1)
        deaf.setsockopt(zmq.RCVBUF, 65_536)
        deaf.connect(f"tcp://127.0.0.1:{server.port}")
        good = connect(server.port)
        for number in range(1, 15):
            header = encode(Run(number, "grow", 30_000, new_task_id()))
            deaf.send_multipart([header, str(4 * MIB).encode()])
        assert wait_until(lambda: good.stats().answered.get("ok", 0) >= 14, 20.0)
        # Four answers may wait, and what the deaf client's own ZeroMQ and the kernels have taken.
        assert good.stats().undeliverable >= 4
        assert good.execute(a_task("echo"), b"still here", 5.0).output == b"still here"
        read = 0
        while deaf.poll(500):
            assert isinstance(decode_reply(deaf.recv_multipart()[0]), Done)
            read += 1
        assert read + good.stats().undeliverable == 14
        deaf.send_multipart([encode(Ping(99)), b""])  # who reads again is answered again
        assert deaf.poll(5000)
        assert isinstance(decode_reply(deaf.recv_multipart()[0]), Pong)


@pytest.mark.chaos
def test_a_full_heap_closes_who_fills_it(start_server, connect):
    """Empty frames: 2 bytes on the wire, 64 in libzmq, so the bytes alone would not tell."""
    heap = heap_bytes()
    assert heap is not None
    server = start_server(max_heap_bytes=heap + 48 * MIB)
    good = connect(server.port)
    good.ping()
    with RawPeer(server.port, timeout_s=20.0) as peer:
        peer.shake_hands()
        piece = frame(b"", more=True) * 100_000
        sent = 0
        while sent < 16 * MIB and peer.send(piece):
            sent += len(piece)
        assert peer.is_closed(10.0)
    # The peer may know of the reset before the server has counted it.
    assert wait_until(lambda: server.server._gate.counts["closed_memory"] == 1, 2.0)
    assert good.execute(a_task("echo"), b"still here", 10.0).output == b"still here"


def zmtp_1(data: bytes, *, more: bool = False) -> bytes:
    """A frame of ZMTP 1.0: a length that counts the flags, the flags, the body."""
    return bytes([len(data) + 1, more]) + data


def test_a_peer_of_an_older_protocol_is_answered_and_harms_nobody(start_server, connect):
    """libzmq notes no descriptor on its messages."""
    server = start_server()
    good = connect(server.port)
    with RawPeer(server.port) as peer:
        peer.send(zmtp_1(b""))  # its identity: none
        peer.send(zmtp_1(encode(Ping(5)), more=True) + zmtp_1(b""))
        answer = peer.read_some(40)
        assert b"OFLD" in answer
        assert b"pong" in answer
    assert good.execute(a_task("echo"), b"still here", 5.0).output == b"still here"


def test_with_keys_a_peer_of_an_older_protocol_is_not_let_in(start_server, connect, tmp_path):
    assert main(["keygen", str(tmp_path / "keys")]) == 0
    server = start_server(keys=tmp_path / "keys")
    with RawPeer(server.port) as peer:
        peer.send(zmtp_1(b"") + zmtp_1(encode(Ping(5)), more=True) + zmtp_1(b""))
        assert peer.is_closed(5.0)
    assert server.server.state().gate["accepted"] == 0
