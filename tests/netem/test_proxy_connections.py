"""Backend proxy and what becomes of a connection: whole, half closed, refused, reset, dead."""

from __future__ import annotations

import contextlib
import hashlib
import random
import socket
import statistics
import subprocess
import sys
import time

import pytest
from made_links import one, profile
from proxied import connected, echo, read_all, round_trips_s, serving

from netem import Link, open_link

pytestmark = pytest.mark.measured


def test_large_transfers_arrive_whole_and_half_closed(proxy_link: Link) -> None:
    """The device ends its side first; the answer, a digest and the data again, still comes."""
    data = random.Random(1).randbytes(6_000_000)

    def answer(connection: socket.socket) -> None:
        received = read_all(connection)
        connection.sendall(hashlib.sha256(received).digest() + received[::-1])

    proxy_link.apply(profile(one(100e6, 0.003, jitter_s=0.001), one(80e6, 0.004)))
    before = proxy_link.stats().uplink.sent_bytes
    with serving(proxy_link, answer) as port, connected(proxy_link, port) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        back = read_all(connection)
    assert back[:32] == hashlib.sha256(data).digest()
    assert back[32:] == data[::-1]
    uplink = proxy_link.stats().uplink
    segments = len(data) / 1448
    assert uplink.sent_bytes - before == pytest.approx(len(data) + 66 * segments, rel=0.02)
    assert (uplink.sent_packets, uplink.lost_packets) == (0, 0)


def test_a_refused_connection_is_closed_after_a_round_trip(proxy_link: Link) -> None:
    with socket.create_server((proxy_link.edge.address, 0)) as listener:
        port = listener.getsockname()[1]
    proxy_link.apply(profile(one(delay_s=0.02), one(delay_s=0.03)))
    with connected(proxy_link, port) as connection:
        begin = time.perf_counter()
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
        assert 0.04 < time.perf_counter() - begin < 0.5


def test_a_server_that_dies_ends_the_connection_and_what_it_sent_arrives(proxy_link: Link) -> None:
    program = (
        "import socket, sys, time\n"
        "s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n"
        "c, _ = s.accept(); c.sendall(b'last words'); time.sleep(60)\n"
    )
    proxy_link.apply(profile(one(delay_s=0.05), one(delay_s=0.05)))
    server = proxy_link.edge.popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    with server.stdout as output:
        port = int(output.readline())
    with connected(proxy_link, port) as connection:
        assert connection.recv(100) == b"last words"
        server.kill()
        server.wait()
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""


def test_a_client_that_resets_resets_the_server(proxy_link: Link) -> None:
    seen: list[object] = []

    def watch(connection: socket.socket) -> None:
        try:
            seen.append(len(read_all(connection)))
        except ConnectionResetError as error:
            seen.append(error)

    with serving(proxy_link, watch) as port:
        connection = connected(proxy_link, port)
        connection.sendall(b"half a mess")
        time.sleep(0.1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
        deadline = time.monotonic() + 5
        while not seen and time.monotonic() < deadline:
            time.sleep(0.01)
    assert isinstance(seen[0], ConnectionResetError)


def test_two_links_at_once_do_not_meet(proxy_link: Link) -> None:
    with (
        open_link(profile(one(delay_s=0.04), one(delay_s=0.04)), "proxy") as other,
        serving(proxy_link, echo) as port,
    ):
        before = proxy_link.stats().uplink.sent_bytes
        assert proxy_link.reach(port) != other.reach(port)
        assert proxy_link.reach(port) == proxy_link.reach(port)
        with connected(proxy_link, port) as connection:
            assert statistics.median(round_trips_s(connection, 20)) < 0.01
        with connected(other, port) as connection:
            assert min(round_trips_s(connection, 5)) >= 0.08
        assert other.stats().uplink.sent_bytes == 5 * 67
        assert proxy_link.stats().uplink.sent_bytes - before == 20 * 67
