"""The estimator on a real emulated link: idle within its budget, a step of the rate, TCP's word."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from netem import Link
from netem.estimator import LinkTracker
from netem.probes import LinkProber, ProbeResponder
from offload.types import DirectionProfile, LinkProfile

pytestmark = [pytest.mark.uml, pytest.mark.measured]


def profile(uplink_bps: float, downlink_bps: float) -> LinkProfile:
    def one(rate_bps: float) -> DirectionProfile:
        return DirectionProfile(rate_bps, 0.015, 0.001, 0.0, 1.0, 0.2)

    return LinkProfile("test", one(uplink_bps), one(downlink_bps), "lte", "test")


@pytest.fixture
def responder(uml_link: Link) -> Iterator[ProbeResponder]:
    with ProbeResponder(uml_link.edge.address, endpoint=uml_link.edge) as running:
        yield running


def test_idle_probing_keeps_to_its_share_as_the_router_counts(
    uml_link: Link, responder: ProbeResponder
) -> None:
    uml_link.apply(profile(1e6, 4e6))
    with LinkProber(*responder.address, endpoint=uml_link.device, budget_share=0.01) as prober:
        deadline = time.monotonic() + 10
        while prober.cost.measurements == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        with prober.hold():
            before, begin = uml_link.stats(), time.monotonic()
        time.sleep(2.5)
        with prober.hold():
            after, elapsed_s = uml_link.stats(), time.monotonic() - begin
        estimate = prober.estimate()
    for name, rate_bps in (("uplink", 1e6), ("downlink", 4e6)):
        sent = getattr(after, name).sent_bytes - getattr(before, name).sent_bytes
        # A ping of 106 bytes every half second; the first measurement is still to be paid for.
        assert 300 <= sent <= 0.01 * rate_bps / 8 * elapsed_s
    assert estimate.rtt.value == pytest.approx(0.030, rel=0.1)
    assert estimate.uplink.value == pytest.approx(1e6, rel=0.05)
    assert estimate.downlink.value == pytest.approx(4e6, rel=0.05)


def test_a_tenfold_step_is_followed_by_the_second_measurement(
    uml_link: Link, responder: ProbeResponder
) -> None:
    uml_link.apply(profile(2e6, 8e6))
    with LinkProber(*responder.address, endpoint=uml_link.device) as prober:
        for _ in range(3):
            prober.measure()
        uml_link.apply(profile(20e6, 0.8e6))
        for _ in range(2):
            prober.measure()
        state = prober.state()
    assert state.uplink_bps == pytest.approx(20e6, rel=0.1)
    assert state.downlink_bps == pytest.approx(0.8e6, rel=0.1)


def test_a_tcp_transfer_tells_the_rate_of_its_direction(
    uml_link: Link, responder: ProbeResponder
) -> None:
    uml_link.apply(profile(3e6, 30e6))
    tracker = LinkTracker("cubic")
    with LinkProber(*responder.address, endpoint=uml_link.device, tracker=tracker) as prober:
        prober.echoes(20, 0.01)
    for _ in range(2):
        tracker.saw_transfer(400_000, tcp_seconds(uml_link, 400_000), uplink=True)
    found = tracker.estimate()
    assert found.uplink.value == pytest.approx(3e6, rel=0.2)
    assert not found.downlink.value > 0.0  # nobody has told of that


def tcp_seconds(link: Link, n_bytes: int) -> float:
    """Seconds from the first byte sent over an open connection to the last one received."""
    arrived: list[float] = []

    def drain(incoming: socket.socket) -> None:
        left = n_bytes
        while left > 0:
            left -= len(incoming.recv(65536)) or left
        arrived.append(time.monotonic())

    with contextlib.ExitStack() as stack:
        edge = (link.edge.address, 0)
        listener = stack.enter_context(link.edge.call(socket.create_server, edge))
        listener.settimeout(10)
        outgoing = stack.enter_context(
            link.device.call(socket.create_connection, listener.getsockname(), 10)
        )
        outgoing.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        incoming = stack.enter_context(listener.accept()[0])
        incoming.settimeout(10)
        thread = threading.Thread(target=drain, args=(incoming,))
        thread.start()
        begin = time.monotonic()
        outgoing.sendall(bytes(n_bytes))
        thread.join()
    return arrived[0] - begin
