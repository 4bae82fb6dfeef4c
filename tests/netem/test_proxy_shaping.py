"""Backend proxy shapes connections: delays, jitter, rates and queues, against what was set."""

from __future__ import annotations

import contextlib
import socket
import statistics
import time

import pytest
from made_links import one, profile
from proxied import (
    HEADERS,
    connected,
    echo,
    median_rate_bps,
    pour,
    rate_bps,
    serving,
)

from netem import Link

pytestmark = pytest.mark.measured


def test_delays_are_each_directions_own(proxy_link: Link) -> None:
    arrived: list[float] = []

    def note(connection: socket.socket) -> None:
        while connection.recv(1):
            arrived.append(time.perf_counter())
            connection.sendall(b"x")

    proxy_link.apply(profile(one(delay_s=0.030), one(delay_s=0.012)))
    with serving(proxy_link, note) as port, connected(proxy_link, port) as connection:
        up, down = [], []
        for _ in range(30):
            begin = time.perf_counter()
            connection.sendall(b"x")
            connection.recv(1)
            down.append(time.perf_counter() - arrived[-1])
            up.append(arrived[-1] - begin)
    assert min(up) >= 0.030
    assert min(down) >= 0.012
    # It is no real-time system: what it adds is 0.3 ms where the machine is idle. One try in four
    # finds a busy one so.
    assert statistics.quantiles(up)[0] <= 0.030 + 0.003
    assert statistics.quantiles(down)[0] <= 0.012 + 0.003


@pytest.mark.parametrize(("up_bps", "down_bps"), [(0.5e6, 2e6), (20e6, 8e6)])
def test_rates_are_each_directions_own(proxy_link: Link, up_bps: float, down_bps: float) -> None:
    uploads: list[float] = []

    def count(connection: socket.socket) -> None:
        uploads.append(median_rate_bps(connection))

    # A long queue, so that a sender that is kept from running leaves no gap.
    proxy_link.apply(profile(one(up_bps, 0.005, queue_s=1.0), one(down_bps, 0.005, queue_s=1.0)))
    with serving(proxy_link, pour) as port, connected(proxy_link, port) as connection:
        assert median_rate_bps(connection) == pytest.approx(down_bps / HEADERS, rel=0.06)
    with serving(proxy_link, count) as port, connected(proxy_link, port) as connection:
        pour(connection)
    assert uploads == [pytest.approx(up_bps / HEADERS, rel=0.06)]


def test_a_change_of_rate_takes_effect_at_once(proxy_link: Link) -> None:
    proxy_link.apply(profile(one(), one(2e6, 0.001, queue_s=2.0)))
    with serving(proxy_link, pour) as port, connected(proxy_link, port) as connection:
        assert rate_bps(connection, 0.5) == pytest.approx(2e6 / HEADERS, rel=0.1)
        assert proxy_link.stats().downlink.backlog_bytes > 100_000
        proxy_link.apply(profile(one(), one(20e6, 0.001, queue_s=2.0)))
        assert rate_bps(connection, 0.5) == pytest.approx(20e6 / HEADERS, rel=0.15)
        proxy_link.apply(profile(one(), one(2e6, 0.001, queue_s=2.0)))
        time.sleep(0.1)
        drained = connection.recv(1 << 22)  # what the kernel had taken before the change
        assert drained
        assert rate_bps(connection, 0.7) == pytest.approx(2e6 / HEADERS, rel=0.15)


def test_what_waits_is_bounded(proxy_link: Link) -> None:
    proxy_link.apply(profile(one(4e6, 0.005, queue_s=0.2), one()))
    with serving(proxy_link, echo) as port, connected(proxy_link, port) as filling:
        filling.setblocking(False)
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                filling.send(bytes(65536))
            held = proxy_link.stats().uplink.backlog_bytes
            # 4 Mbit/s x 0.2 s, and what the delay holds, 4 Mbit/s x 5 ms.
            assert held <= 100_000 + 2_500 + 3_000
        assert held > 80_000
