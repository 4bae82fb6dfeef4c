"""One direction of a proxied link, against times worked out by hand; time is a parameter."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from netem.proxying.lane import Lane, Piece, wire_bytes
from netem.proxying.messages import LaneSettings


def lane(**settings: float | None) -> Lane[str]:
    made: Lane[str] = Lane(random.Random(7))
    plain = {"rate_bps": None, "delay_s": 0.0, "jitter_s": 0.0, "queue_s": 1.0}
    made.set(LaneSettings(**{**plain, **settings}), 0.0)  # type: ignore[arg-type]
    return made


def piece(size: int, mark: str = "") -> Piece[str]:
    return Piece("sink", memoryview(bytes(size)), mark)


def arrivals(of: Lane[str], until_s: float) -> list[tuple[float, Piece[str]]]:
    """Play a lane event by event."""
    found = []
    now_s = of.next_s()
    while now_s is not None and now_s <= until_s:
        found += [(now_s, arrived) for arrived in of.due(now_s)]
        now_s = of.next_s()
    return found


def test_bytes_on_the_wire_count_the_headers_of_full_segments() -> None:
    assert [wire_bytes(n) for n in (0, 1, 1448, 1449)] == [0, 67, 1514, 1449 + 132]


def test_a_delay_alone_delays() -> None:
    under_test = lane(delay_s=0.030)
    under_test.offer(piece(5000), 1.0)
    under_test.offer(piece(100), 1.01)
    assert under_test.due(1.0299) == []
    assert arrivals(under_test, 9.0) == [
        (pytest.approx(1.030), piece(5000)),
        (pytest.approx(1.040), piece(100)),
    ]
    assert under_test.next_s() is None


def test_the_rate_paces_segments_and_the_bucket_starts_full() -> None:
    # 1 Mbit/s: a frame of 1,514 bytes takes 12.112 ms; 3,200 bytes are free at first.
    under_test = lane(rate_bps=1e6, delay_s=0.005)
    under_test.offer(piece(5 * 1448), 2.0)
    times = [moment for moment, _ in arrivals(under_test, 9.0)]
    free = 3200 * 8 / 1e6
    expected = [2.005 + max(0.0, k * 0.012112 - free) for k in range(1, 6)]
    assert times == pytest.approx(expected)


def test_a_long_run_goes_at_the_rate_whatever_the_pieces() -> None:
    for rate_bps in (0.3e6, 14e6, 200e6):
        under_test = lane(rate_bps=rate_bps, queue_s=60.0)
        payload = 1448 * 2000
        under_test.offer(piece(payload), 0.0)
        moment, _ = arrivals(under_test, 1e9)[-1]
        assert moment == pytest.approx((1514 * 2000 - 3200) * 8 / rate_bps, rel=0.002)


def test_a_change_of_rate_counts_at_once_for_what_waits() -> None:
    under_test = lane(rate_bps=1e6)
    under_test.offer(piece(100 * 1448), 0.0)
    before = len(arrivals(under_test, 0.5))
    assert before == math.floor((0.5e6 / 8 + 3200) / 1514)
    under_test.set(LaneSettings(50e6, 0.0, 0.0, 1.0), 0.5)
    moment, _ = arrivals(under_test, 9.0)[-1]
    # What was earned of the next frame at the old rate stays; at most two frames' worth.
    left_bits = (100 - before) * 1514 * 8
    assert 0.5 + (left_bits - 2 * 1514 * 8) / 50e6 <= moment <= 0.5 + left_bits / 50e6


def test_a_change_of_delay_leaves_what_is_under_way_and_keeps_the_order() -> None:
    under_test = lane(delay_s=0.100)
    under_test.offer(piece(1), 0.0)
    under_test.set(LaneSettings(None, 0.010, 0.0, 1.0), 0.05)
    under_test.offer(piece(2), 0.05)
    assert [(round(t, 6), len(p.data)) for t, p in arrivals(under_test, 1.0)] == [
        (0.1, 1),
        (0.1, 2),
    ]


def test_jitter_has_its_standard_deviation() -> None:
    under_test = lane(delay_s=0.050, jitter_s=0.004)
    found = []
    for index in range(2000):  # apart by 5 sigma, so that none is held up by the one before
        found += arrivals(under_test, index * 0.02)
        under_test.offer(piece(index), index * 0.02)
    found += arrivals(under_test, 99.0)
    delays = [moment - len(arrived.data) * 0.02 for moment, arrived in found]
    assert len(delays) == 2000
    # Standard errors over 2,000: 0.09 ms and 0.063 ms.
    assert statistics.fmean(delays) == pytest.approx(0.050, abs=0.0004)
    assert statistics.stdev(delays) == pytest.approx(0.004, abs=0.00026)


def test_jitter_keeps_the_order() -> None:
    under_test = lane(delay_s=0.050, jitter_s=0.010)
    for index in range(500):
        under_test.offer(piece(index), index * 0.001)
    sizes = [len(p.data) for _, p in arrivals(under_test, 9.0)]
    assert sizes == list(range(500))


def test_the_queue_has_room_for_rate_times_time_and_two_buckets_at_least() -> None:
    under_test = lane(rate_bps=8e6, queue_s=0.1)
    assert under_test.room_bytes() == 100_000
    under_test.offer(piece(60_000), 0.0)
    assert 40_000 <= under_test.room_bytes() <= 40_000 + 3200
    assert lane(rate_bps=1e5, queue_s=0.01).room_bytes() == 6400
    unlimited = lane(delay_s=1.0)
    room = unlimited.room_bytes()
    unlimited.offer(piece(1_000_000), 0.0)
    assert unlimited.room_bytes() == room - 1_000_000


def test_marks_keep_their_place_and_counts_add_up() -> None:
    under_test = lane(rate_bps=10e6, delay_s=0.01)
    under_test.offer(piece(20_000), 0.0)
    under_test.offer(piece(0, "end"), 0.0)
    assert under_test.count().held_bytes == 20_000
    order = arrivals(under_test, 9.0)
    assert order[-1][1].mark == "end"
    assert sum(len(p.data) for _, p in order) == 20_000
    count = under_test.count()
    assert (count.held_bytes, count.held_pieces) == (0, 0)
    assert count.sent_bytes == sum(wire_bytes(len(p.data)) for _, p in order)
