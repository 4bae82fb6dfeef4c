"""What the tests of backend proxy share: profiles, servers behind the proxy, and rates."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

from made_links import one, profile

from netem import Link

Handler = Callable[[socket.socket], None]
HEADERS = 1514 / 1448
"""What a byte of payload costs on the wire."""


LAN = profile(one(), one())


@contextlib.contextmanager
def serving(link: Link, handle: Handler) -> Iterator[int]:
    """A server on the edge's side that hands every connection to ``handle``; yields its port."""
    with socket.create_server((link.edge.address, 0)) as listener:
        listener.settimeout(0.05)
        done = threading.Event()

        def accept() -> None:
            while not done.is_set():
                with contextlib.suppress(TimeoutError):
                    connection, _ = listener.accept()
                    with connection:
                        connection.settimeout(20)
                        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        handle(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            done.set()
            thread.join()


def connected(link: Link, port: int) -> socket.socket:
    connection = socket.create_connection(link.reach(port), timeout=20)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def echo(connection: socket.socket) -> None:
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65536):
            connection.sendall(data)


def round_trips_s(connection: socket.socket, count: int) -> list[float]:
    found = []
    for _ in range(count):
        begin = time.perf_counter()
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        found.append(time.perf_counter() - begin)
    return found


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def rate_bps(connection: socket.socket, seconds: float) -> float:
    """Payload that arrives in about that time, from the first bytes on."""
    connection.recv(1 << 16)
    begin = last = time.perf_counter()
    counted = 0
    while last < begin + seconds:
        counted += len(connection.recv(1 << 16))
        last = time.perf_counter()
    return 8 * counted / (last - begin)


def median_rate_bps(connection: socket.socket) -> float:
    """Of three windows: one of them may fall into a stall of this machine."""
    return sorted(rate_bps(connection, 0.5) for _ in range(3))[1]


def pour(connection: socket.socket) -> None:
    """Send until nobody takes it."""
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(bytes(65536))
