"""Responder and prober over the loopback: what they answer, and what they must not."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from netem.estimator import LinkTracker
from netem.probe_exchange import ProbeExchange
from netem.probe_idle import IdleProbing
from netem.probe_wire import Kind, Message, decode, encode
from netem.probes import LinkProber, ProbeResponder
from offload.errors import ConfigError
from offload.interfaces import LinkEstimator

pytestmark = pytest.mark.measured

SESSION = b"12345678"


@pytest.fixture
def responder() -> Iterator[ProbeResponder]:
    with ProbeResponder("127.0.0.1") as running:
        yield running


@pytest.fixture
def raw(responder: ProbeResponder) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.connect(responder.address)
        opened.settimeout(0.3)
        yield opened


def ask(raw: socket.socket, message: Message) -> list[bytes]:
    """All that comes back for one message."""
    raw.send(encode(message))
    replies = []
    try:
        while True:
            replies.append(raw.recv(2048))
    except TimeoutError:
        return replies


def cookie_of(raw: socket.socket) -> bytes:
    (reply,) = ask(raw, Message(Kind.HELLO, SESSION))
    message = decode(reply)
    assert message is not None
    return message.cookie


def test_hello_is_answered_with_no_more_than_it_was(raw: socket.socket) -> None:
    hello = encode(Message(Kind.HELLO, SESSION))
    (reply,) = ask(raw, Message(Kind.HELLO, SESSION))
    assert len(reply) == len(hello) == 64


@pytest.mark.parametrize("kind", [Kind.PING, Kind.TRAIN_REQUEST, Kind.REPORT_REQUEST])
def test_nothing_is_answered_without_the_cookie(raw: socket.socket, kind: Kind) -> None:
    assert ask(raw, Message(kind, SESSION, b"forged-forged-16", 1, 0, 100)) == []


def test_cookie_of_another_port_is_refused(responder: ProbeResponder, raw: socket.socket) -> None:
    cookie = cookie_of(raw)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.connect(responder.address)
        other.settimeout(0.3)
        assert ask(other, Message(Kind.TRAIN_REQUEST, SESSION, cookie, 1, 0, 100)) == []


def test_a_train_is_sent_once_and_as_long_as_asked(raw: socket.socket) -> None:
    request = Message(Kind.TRAIN_REQUEST, SESSION, cookie_of(raw), 1, 0, 15)
    packets = [decode(data) for data in ask(raw, request)]
    assert [packet.index for packet in packets if packet] == list(range(15))
    assert ask(raw, request) == []


def test_trains_a_second_are_bounded(raw: socket.socket) -> None:
    cookie = cookie_of(raw)
    time.sleep(1.0 - time.monotonic() % 1.0)  # the start of a whole second of the bound
    sent = 60
    for group in range(sent):
        raw.send(encode(Message(Kind.TRAIN_REQUEST, SESSION, cookie, group, 0, 1)))
    replies = ask(raw, Message(Kind.TRAIN_REQUEST, SESSION, cookie, sent, 0, 1))
    assert len(replies) == 20


def test_rubbish_does_not_stop_it(raw: socket.socket) -> None:
    for rubbish in (b"", b"x", b"OLP1" + bytes(60), bytes(1400), b"\xff" * 64):
        raw.send(rubbish)
    assert len(ask(raw, Message(Kind.HELLO, SESSION))) == 1


def test_pong_counts_pings_of_the_run(raw: socket.socket) -> None:
    cookie = cookie_of(raw)
    for index in (0, 1, 5):
        (reply,) = ask(raw, Message(Kind.PING, SESSION, cookie, 9, index, 6))
    pong = decode(reply)
    assert pong is not None
    assert (pong.index, pong.count) == (5, 3)
    (reply,) = ask(raw, Message(Kind.PING, SESSION, cookie, 10, 0, 6))
    assert decode(reply).count == 1  # type: ignore[union-attr]


def test_loopback_is_near_and_lossless(responder: ProbeResponder) -> None:
    with LinkProber(*responder.address) as prober:
        estimator: LinkEstimator = prober
        assert estimator is prober
        state = prober.measure()
        assert 0.0 < state.rtt_s < 0.02
        assert state.loss == 0.0
        assert state.uplink_bps > 50e6
        assert state.downlink_bps > 50e6
        cost = prober.cost
        # At least 12 pings of 106 bytes each way, and a train of 10 x 1,442.
        assert cost.uplink_bytes > 12 * 106 + 10 * 1442
        assert cost.downlink_bytes > 12 * 106 + 10 * 1442
        assert cost.measurements == 1


def test_dead_edge_is_loss_one_within_the_time_given() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unanswering:
        unanswering.bind(("127.0.0.1", 0))
        with LinkProber(*unanswering.getsockname()) as prober:
            begin = time.monotonic()
            state = prober.measure(timeout_s=0.6)
            assert time.monotonic() - begin < 1.0
            assert (state.loss, state.rtt_s) == (1.0, 0.6)


def test_edge_that_dies_keeps_what_was_known_and_is_found_again() -> None:
    responder = ProbeResponder("127.0.0.1").start()
    port = responder.address[1]
    with LinkProber("127.0.0.1", port) as prober:
        prober.measure()
        alive = prober.state()
        responder.close()
        dead = prober.measure(timeout_s=1.0)
        assert dead.loss == 1.0
        assert (dead.rtt_s, dead.uplink_bps) == (alive.rtt_s, alive.uplink_bps)
        assert prober.state().loss == 1.0
        with ProbeResponder("127.0.0.1", port):  # a new secret: the old cookie is worth nothing
            assert prober.measure().loss == 0.0


def test_estimate_ages_and_joins_measurements(responder: ProbeResponder) -> None:
    with LinkProber(*responder.address, pings=60) as prober:  # as many as there may be
        prober.measure()
        once = prober.estimate()
        prober.measure()
        twice = prober.estimate()
        assert once.uplink_loss.samples == pytest.approx(60, rel=0.02)
        assert twice.uplink_loss.samples == pytest.approx(120, rel=0.02)
        state = prober.state()
        time.sleep(0.05)
        assert prober.state().age_s >= state.age_s + 0.05


def test_thread_keeps_the_estimate_fresh_within_its_budget_and_ends(
    responder: ProbeResponder,
) -> None:
    threads = threading.active_count()
    with LinkProber(*responder.address, budget_share=0.01) as prober:
        deadline = time.monotonic() + 10
        while prober.cost.measurements < 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        with prober.hold():
            first = prober.cost
            pings = prober.estimate().uplink_loss.samples
        time.sleep(2.2)
        # A ping every half second at most.
        assert 1 <= round(prober.estimate().uplink_loss.samples - pings) <= 6
        # The first measurement is paid back before a train.
        allowed = 0.01 * 2 * prober.estimate().uplink.value / 8 * 3.0
        assert prober.cost.uplink_bytes - first.uplink_bytes <= allowed
        with prober.hold():
            held = prober.cost
            time.sleep(1.1)
            assert prober.cost == held
    assert threading.active_count() == threads


def test_background_notices_silence_and_finds_a_responder_started_anew() -> None:
    responder = ProbeResponder("127.0.0.1").start()
    port = responder.address[1]
    tracker = LinkTracker()
    exchange = ProbeExchange("127.0.0.1", port, None, tracker.saw_ping)
    try:
        idle = IdleProbing(exchange, tracker, 0.01)
        for _ in range(5):
            idle.step()
        assert tracker.state().loss == 0.0
        responder.close()
        for _ in range(13):  # the answer to the last ping may have been on its way
            idle.step()
        assert tracker.state().loss == 1.0
        with ProbeResponder("127.0.0.1", port):
            deadline = time.monotonic() + 10
            while tracker.state().loss == 1.0 and time.monotonic() < deadline:
                idle.step()
        assert tracker.state().loss == 0.0
    finally:
        exchange.close()
        responder.close()


@pytest.mark.parametrize(
    "options", [{"pings": 1}, {"pings": 61}, {"budget_share": 0.0}, {"budget_share": 1.1}]
)
def test_bad_options_are_refused(options: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        LinkProber("127.0.0.1", 1, **options)


def test_close_twice() -> None:
    responder = ProbeResponder("127.0.0.1").start()
    responder.close()
    responder.close()
