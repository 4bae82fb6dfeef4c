"""The probes' messages and estimator, without a network."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netem.dispersion import train_rate_bps
from netem.measurement import loss_error
from netem.probe_wire import Kind, Message, cookie_for, decode, encode

SESSION = b"12345678"


@pytest.mark.parametrize("kind", list(Kind))
def test_message_survives_the_wire(kind: Kind) -> None:
    message = Message(kind, SESSION, b"c" * 16, 7, 3, 12, 123_456_789, 1.5e6)
    data = encode(message)
    assert decode(data) == message
    assert len(data) == (1400 if kind in {Kind.UPLINK_TRAIN, Kind.DOWNLINK_TRAIN} else 64)
    assert decode(data[:-1]) is None
    assert decode(data + b"x") is None
    assert decode(b"XXXX" + data[4:]) is None


@given(st.binary(max_size=1500))
def test_no_bytes_break_the_decoder(data: bytes) -> None:
    decode(data)
    decode(b"OLP1" + data)


@pytest.mark.parametrize(("index", "count"), [(0, 601), (12, 12), (0, 0)])
def test_trains_out_of_bounds_are_refused(index: int, count: int) -> None:
    message = Message(Kind.TRAIN_REQUEST, SESSION, group=1, index=index, count=count)
    assert decode(encode(message)) is None


@pytest.mark.parametrize("rate", [math.nan, math.inf, -1.0])
def test_rates_that_are_none_are_refused(rate: float) -> None:
    assert decode(encode(Message(Kind.REPORT, SESSION, rate_bps=rate))) is None


def test_cookie_depends_on_address_port_session_and_secret() -> None:
    base = (b"s", ("10.0.0.1", 5), SESSION)
    cookies = {
        cookie_for(*base),
        cookie_for(b"t", *base[1:]),
        cookie_for(b"s", ("10.0.0.2", 5), SESSION),
        cookie_for(b"s", ("10.0.0.1", 6), SESSION),
        cookie_for(b"s", ("10.0.0.1", 5), b"87654321"),
    }
    assert len(cookies) == 5


def test_train_rate_of_even_gaps() -> None:
    # 1,442 bytes every millisecond: 11.536 Mbit/s
    assert train_rate_bps([1_000_000 * k for k in range(20)], 1442) == pytest.approx(11.536e6)


def test_train_rate_leaves_out_the_bucket_and_one_stall() -> None:
    times = [0, 10, 20]  # let through at line rate
    times += [1_000_000 * k for k in range(1, 30)]
    times[20:] = [time + 40_000_000 for time in times[20:]]  # the queue ran dry once
    assert train_rate_bps(times, 1442) == pytest.approx(11.536e6)


def test_train_rate_of_too_few_packets_is_zero() -> None:
    assert train_rate_bps([0, 1, 2, 3, 4], 1442) == 0.0
    assert train_rate_bps([5] * 20, 1442) == 0.0


def test_loss_error_matches_a_simulated_chain() -> None:
    import numpy as np

    rng = np.random.default_rng(1)
    enter, leave, packets, runs = 0.02, 0.2, 2000, 400
    bad = np.zeros(runs, bool)
    lost = np.zeros(runs)
    for _ in range(packets):
        draw = rng.random(runs)
        bad = np.where(bad, draw >= leave, draw < enter)
        lost += bad
    assert loss_error(enter, leave, packets) == pytest.approx((lost / packets).std(), rel=0.15)
