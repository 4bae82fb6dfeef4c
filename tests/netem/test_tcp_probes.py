"""The prober over TCP alone, against a real responder over a proxied link and without one."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from machine import REPOSITORY
from made_links import one, profile

from netem import Link
from netem.tcp_probes import TcpProber
from netem.tcp_responder import MAX_BYTES, TcpProbeResponder


@pytest.fixture(scope="module")
def responder() -> Iterator[TcpProbeResponder]:
    running = TcpProbeResponder("127.0.0.1")
    thread = threading.Thread(target=running.serve)
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.close()


@pytest.mark.measured
@pytest.mark.parametrize(
    ("up_bps", "down_bps", "one_way_s", "jitter_s"),
    [(1.3e6, 3.5e6, 0.030, 0.005), (20e6, 8e6, 0.004, 0.0)],
)
def test_finds_what_is_set(
    proxy_link: Link,
    responder: TcpProbeResponder,
    up_bps: float,
    down_bps: float,
    one_way_s: float,
    jitter_s: float,
) -> None:
    proxy_link.apply(
        profile(
            one(up_bps, one_way_s, jitter_s=jitter_s, queue_s=0.2),
            one(down_bps, one_way_s, jitter_s=jitter_s, queue_s=0.2),
        )
    )
    with contextlib.closing(TcpProber(*proxy_link.reach(responder.address[1]))) as prober:
        # A single measurement may fall into a stall of this machine; the median of three hardly.
        states = [prober.measure() for _ in range(3)]
    state = states[-1]
    # Both programs have to be woken for every round trip, which a busy machine takes its time for.
    rtt_s = sorted(s.rtt_s for s in states)[1]
    assert 0.95 * 2 * one_way_s < rtt_s < 1.1 * 2 * one_way_s + 0.005
    assert sorted(s.uplink_bps for s in states)[1] == pytest.approx(up_bps, rel=0.15)
    assert sorted(s.downlink_bps for s in states)[1] == pytest.approx(down_bps, rel=0.15)
    assert state.loss == 0.0
    assert 0.0 <= state.age_s < 2.0
    if jitter_s:
        assert 0.5 * 2**0.5 * jitter_s < state.jitter_s < 2 * 2**0.5 * jitter_s


@pytest.mark.measured
def test_counts_what_it_costs(proxy_link: Link, responder: TcpProbeResponder) -> None:
    proxy_link.apply(profile(one(4e6, 0.002), one(4e6, 0.002)))
    before = proxy_link.stats()
    with contextlib.closing(TcpProber(*proxy_link.reach(responder.address[1]))) as prober:
        prober.measure()
        cost = prober.cost
    after = proxy_link.stats()
    assert cost.measurements == 1
    # The proxy's own count; single requests carry a header each, which the cost takes as shared.
    for counted, known in (
        (cost.uplink_bytes, after.uplink.sent_bytes - before.uplink.sent_bytes),
        (cost.downlink_bytes, after.downlink.sent_bytes - before.downlink.sent_bytes),
    ):
        assert counted == pytest.approx(known, rel=0.05)


def test_a_link_that_is_down_has_loss_1_and_recovers(responder: TcpProbeResponder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with contextlib.closing(TcpProber("127.0.0.1", port)) as prober:
        state = prober.measure(timeout_s=0.5)
        assert (state.loss, state.rtt_s) == (1.0, 0.5)
        prober._peer = responder.address
        assert prober.measure().loss == 0.0


@pytest.mark.measured
def test_a_silent_responder_costs_no_more_than_the_timeout() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        contextlib.closing(TcpProber(*silent.getsockname())) as prober,
    ):
        begin = time.monotonic()
        assert prober.measure(timeout_s=0.4).loss == 1.0
        assert time.monotonic() - begin < 2.0


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        struct.pack("!cI", b"D", MAX_BYTES + 1),
        struct.pack("!cI", b"?", 0),
    ],
)
def test_the_responder_closes_on_nonsense_and_serves_on(
    responder: TcpProbeResponder, nonsense: bytes
) -> None:
    with socket.create_connection(responder.address, timeout=5) as stranger:
        stranger.sendall(nonsense)
        with contextlib.suppress(ConnectionResetError):
            assert stranger.recv(100) == b""
    with contextlib.closing(TcpProber(*responder.address)) as prober:
        assert prober.measure().rtt_s < 0.1


def test_the_command_answers_over_tcp() -> None:
    responder = subprocess.Popen(
        [sys.executable, "-m", "netem", "respond", "--tcp", "--port", "0"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert responder.stdout is not None
    with responder.stdout as output:
        port = int(output.readline().rsplit(":", 1)[1])
    with contextlib.closing(TcpProber("127.0.0.1", port)) as prober:
        assert prober.measure().loss == 0.0
    responder.terminate()
    assert responder.wait(timeout=10) == 0
