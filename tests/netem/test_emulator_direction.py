"""The emulator's pure core, against closed forms and a small reference written another way."""

from __future__ import annotations

import dataclasses
import math
import random
import statistics
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netem.emulator.direction import NEVER_NS, Direction
from netem.emulator.settings import DirectionSettings
from offload.link_profiles import get_profile

MS = 1_000_000
FRAME = 1500
BURST = 3200


def frame(number: int, size: int = FRAME) -> bytes:
    return number.to_bytes(4, "big") + bytes(size - 4)


def number_of(one: bytes) -> int:
    return int.from_bytes(one[:4], "big")


def play(direction: Direction, arrivals: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Let frames arrive and release each at its very due time; returns (time, frame) departures."""
    departures: list[tuple[int, bytes]] = []

    def drain(until_ns: int) -> None:
        while (due_ns := direction.due_ns()) <= until_ns:
            departures.extend((due_ns, one) for one in direction.release(due_ns))

    for now_ns, one in arrivals:
        drain(now_ns - 1)
        direction.arrive(one, now_ns)
    drain(NEVER_NS - 1)
    return departures


def test_settings_are_the_qdiscs_own() -> None:
    """lte, by hand: 14 Mbit/s x 150 ms = 262,500 bytes; 39 Mbit/s x 150 ms = 731,250."""
    lte = get_profile("lte")
    up, down = DirectionSettings.of(lte.uplink), DirectionSettings.of(lte.downlink)
    assert (up.rate_bps, up.delay_ns, up.queue_bytes) == (14_000_000, 20 * MS, 262_500)
    assert (down.rate_bps, down.jitter_ns, down.queue_bytes) == (39_000_000, 4 * MS, 731_250)
    lan = DirectionSettings.of(get_profile("lan").uplink)
    assert (lan.rate_bps, lan.delay_ns, lan.loss_enter) == (None, 0, 0.0)


def test_read_back_names_every_difference() -> None:
    wanted = DirectionSettings(delay_ns=5, rate_bps=1000)
    held = dataclasses.asdict(wanted)
    assert wanted.differences(held) == []
    assert wanted.differences({**held, "delay_ns": 6}) == ["delay_ns: set 5, read back 6"]
    assert wanted.differences({**held, "speed": 1}) == ["speed: set None, read back 1"]
    del held["rate_bps"]
    assert wanted.differences(held) == ["rate_bps: set 1000, read back None"]


def test_unshaped_passes_at_once() -> None:
    direction = Direction(DirectionSettings(), "s")
    assert direction.due_ns() == NEVER_NS
    direction.arrive(frame(1), 7)
    assert direction.due_ns() == 7
    assert direction.release(7) == [frame(1)]
    assert direction.due_ns() == NEVER_NS


def test_delay_is_exact() -> None:
    direction = Direction(DirectionSettings(delay_ns=20 * MS), "s")
    direction.arrive(frame(1), 5)
    assert direction.release(20 * MS + 4) == []
    assert direction.release(20 * MS + 5) == [frame(1)]


def test_jitter_is_normal_where_packets_are_far_apart() -> None:
    count, delay, sigma = 20_000, 50 * MS, 5 * MS
    direction = Direction(DirectionSettings(delay_ns=delay, jitter_ns=sigma), "jitter")
    sent = [(index * 100 * MS, frame(index)) for index in range(count)]
    delays = [due - index * 100 * MS for index, (due, _) in enumerate(play(direction, sent))]
    # Standard errors: sigma/sqrt(n) = 35 us of the mean, sigma/sqrt(2n) = 25 us of the sd.
    assert statistics.fmean(delays) == pytest.approx(delay, abs=4.5 * sigma / math.sqrt(count))
    assert statistics.stdev(delays) == pytest.approx(sigma, abs=4.5 * sigma / math.sqrt(2 * count))
    z = sorted((value - delay) / sigma for value in delays)
    normal = statistics.NormalDist()
    distance = max(abs(normal.cdf(value) - index / count) for index, value in enumerate(z))
    assert distance < 2.3 / math.sqrt(count)  # Kolmogorov: chance 2 exp(-2 x 2.3^2) = 5e-5


def test_jitter_never_reorders_and_an_overtaker_waits() -> None:
    delay, sigma, spacing = 20 * MS, 10 * MS, MS // 10
    direction = Direction(DirectionSettings(delay_ns=delay, jitter_ns=sigma), "order")
    arrivals = [(index * spacing, frame(index)) for index in range(3000)]
    departures = play(direction, arrivals)
    assert [number_of(one) for _, one in departures] == list(range(3000))
    # A running maximum of each packet's own draw: drawn here from the stream by its name.
    draws = random.Random("order delay")
    latest, expected = 0, []
    for now_ns, _ in arrivals:
        latest = max(latest, now_ns + max(0, delay + round(sigma * draws.gauss(0.0, 1.0))))
        expected.append(latest)
    assert [due for due, _ in departures] == expected


@pytest.mark.parametrize(("enter", "leave"), [(0.01, 0.2), (0.05, 0.5), (0.3, 1.0)])
def test_loss_is_gilbert_elliott(enter: float, leave: float) -> None:
    """Mean p / (p + r); lengths of bursts geometric with mean 1 / r."""
    count = 300_000
    direction = Direction(DirectionSettings(loss_enter=enter, loss_leave=leave), f"{enter}")
    arrived = {
        number_of(one) for _, one in play(direction, [(i, frame(i, 4)) for i in range(count)])
    }
    lost = [index not in arrived for index in range(count)]
    assert direction.stats().lost_packets == sum(lost)
    bursts, run = [], 0
    for one in [*lost, False]:
        if one:
            run += 1
        elif run:
            bursts.append(run)
            run = 0
    mean = enter / (enter + leave)
    widening = (2 - enter - leave) / (enter + leave)
    error = math.sqrt(mean * (1 - mean) / count * widening)
    assert sum(lost) / count == pytest.approx(mean, abs=4.5 * error)
    burst_error = math.sqrt(1 - leave) / leave / math.sqrt(len(bursts))
    assert statistics.fmean(bursts) == pytest.approx(1 / leave, abs=4.5 * burst_error + 1e-9)


def test_no_loss_loses_nothing_also_after_a_losing_state() -> None:
    direction = Direction(DirectionSettings(loss_enter=1.0, loss_leave=0.0), "s")
    for index in range(10):
        direction.arrive(frame(index), index)
    assert direction.stats().lost_packets == 9  # the first finds the link in its good state
    direction.change(DirectionSettings(), 20)
    direction.arrive(frame(10), 21)
    assert direction.release(21) == [frame(10)]


def test_bucket_lets_a_burst_through_then_the_rate() -> None:
    """12 Mbit/s is 1.5 bytes a microsecond, so a frame of 1500 bytes a millisecond."""
    rated = DirectionSettings(rate_bps=12_000_000, queue_bytes=100_000)
    departures = play(Direction(rated, "s"), [(0, frame(index)) for index in range(6)])
    # 3200 bytes at once: two frames. The third lacks 1300 bytes, 866.67 us; then one a millisecond.
    third = math.ceil(Fraction(1300 * 8 * 10**9, 12_000_000))
    assert [due for due, _ in departures] == [0, 0, third, *(third + k * MS for k in (1, 2, 3))]


def test_full_queue_drops_the_newcomer() -> None:
    rated = DirectionSettings(rate_bps=12_000_000, queue_bytes=6000)
    direction = Direction(rated, "s")
    departures = play(direction, [(0, frame(index)) for index in range(10)])
    # Two leave with the bucket's tokens; 6000 bytes hold four more of 1500, and not a byte more.
    assert [number_of(one) for _, one in departures] == [0, 1, 2, 3, 4, 5]
    assert direction.stats().queue_dropped_packets == 4


def test_frame_larger_than_the_bucket_is_dropped() -> None:
    direction = Direction(DirectionSettings(rate_bps=12_000_000, queue_bytes=100_000), "s")
    assert play(direction, [(0, frame(1, BURST + 1)), (0, frame(2, BURST))]) == [
        (0, frame(2, BURST))
    ]
    assert direction.stats().queue_dropped_packets == 1


def test_rate_change_takes_effect_at_once_on_a_backlog() -> None:
    slow = DirectionSettings(rate_bps=1_000_000, queue_bytes=10**6)
    fast = dataclasses.replace(slow, rate_bps=50_000_000)
    direction = Direction(slow, "s")
    for index in range(102):
        direction.arrive(frame(index), 0)
    assert len(direction.release(0)) == 2
    # 1 Mbit/s: 1300 bytes lacking take 10.4 ms, each further frame 12 ms: 10 by 118.4 ms.
    assert len(direction.release(118_400_000)) == 10
    assert direction.change(fast, 118_400_000) == []
    assert direction.stats().backlog_packets == 90
    begin, departures = 118_400_000, []
    while direction.due_ns() != NEVER_NS:
        due = direction.due_ns()
        departures += [due] * len(direction.release(due))
    # 1500 bytes at 50 Mbit/s: 240 us each.
    assert departures == [begin + 240_000 * (k + 1) for k in range(90)]


def test_slower_rate_is_charged_from_the_change_on() -> None:
    fast = DirectionSettings(rate_bps=12_000_000, queue_bytes=10**6)
    direction = Direction(fast, "s")
    for index in range(4):
        direction.arrive(frame(index), 0)
    direction.release(0)
    half = math.ceil(Fraction(1300 * 8 * 10**9, 12_000_000)) // 2
    assert direction.change(dataclasses.replace(fast, rate_bps=1_200_000), half) == []
    lacking = Fraction(1300 * 8 * 10**9) - half * 12_000_000
    assert direction.due_ns() == half + math.ceil(lacking / 1_200_000)


def test_lifting_the_rate_frees_the_queue_and_delay_stays() -> None:
    rated = DirectionSettings(delay_ns=10 * MS, rate_bps=1_000_000, queue_bytes=10**6)
    direction = Direction(rated, "s")
    for index in range(5):
        direction.arrive(frame(index), 0)
    assert len(direction.release(10 * MS)) == 2
    direction.arrive(frame(5), 10 * MS)
    freed = direction.change(DirectionSettings(), 11 * MS)
    assert [number_of(one) for one in freed] == [2, 3, 4]
    assert direction.due_ns() == 20 * MS  # on its way since before the change
    assert direction.release(20 * MS) == [frame(5)]


def test_shorter_queue_keeps_what_it_holds_and_takes_no_more() -> None:
    long = DirectionSettings(rate_bps=12_000_000, queue_bytes=100_000)
    direction = Direction(long, "s")
    for index in range(20):
        direction.arrive(frame(index), 0)
    direction.release(0)
    direction.change(dataclasses.replace(long, queue_bytes=6400), 0)
    direction.arrive(frame(20), 0)
    assert len(direction.release(60 * MS)) == 18
    assert direction.stats().queue_dropped_packets == 1


def test_full_line_counts_as_loss() -> None:
    direction = Direction(DirectionSettings(delay_ns=MS, held_packets=3), "s")
    assert len(play(direction, [(0, frame(index)) for index in range(5)])) == 3
    assert direction.stats().lost_packets == 2


def fates(seed: str, of: DirectionSettings, spacing_ns: int = 50 * MS) -> list[int | None]:
    """Delay of each of 500 packets, None where it is lost."""
    direction = Direction(of, seed)
    out = {
        number_of(one): due - number_of(one) * spacing_ns
        for due, one in play(direction, [(k * spacing_ns, frame(k)) for k in range(500)])
    }
    return [out.get(index) for index in range(500)]


def test_same_seed_same_fates_and_another_seed_others() -> None:
    lossy = DirectionSettings(delay_ns=9 * MS, jitter_ns=MS, loss_enter=0.1, loss_leave=0.4)
    assert fates("7 uplink", lossy) == fates("7 uplink", lossy)
    for other in ("8 uplink", "7 downlink"):
        assert fates("7 uplink", lossy) != fates(other, lossy)


def test_fate_of_a_packet_hangs_on_its_number_alone() -> None:
    """Whatever else is set: the k-th packet meets the k-th draws."""
    lossy = DirectionSettings(delay_ns=9 * MS, jitter_ns=MS, loss_enter=0.1, loss_leave=0.4)
    with_loss = fates("7 uplink", lossy)
    without = fates("7 uplink", dataclasses.replace(lossy, loss_enter=0.0))
    rarer = fates("7 uplink", lossy, spacing_ns=80 * MS)
    assert [index for index, one in enumerate(with_loss) if one is None]
    assert None not in without
    assert all(one is None or one == other for one, other in zip(with_loss, without, strict=True))
    assert rarer == with_loss


def test_loss_switched_on_later_draws_what_it_would_have_drawn() -> None:
    """A losing state ends with the next packet here, so both soon agree on the state as well."""
    lossy = DirectionSettings(loss_enter=0.3, loss_leave=1.0)

    def lost(first: DirectionSettings) -> list[int]:
        direction = Direction(first, "7 uplink")
        found = []
        for index in range(300):
            if index == 100:
                direction.change(lossy, index)
            direction.arrive(frame(index), index)
            if not direction.release(index):
                found.append(index)
        return found

    always, later = lost(lossy), lost(DirectionSettings())
    assert later[0] >= 100
    assert len(later) > 20
    assert [index for index in always if index >= 120] == [i for i in later if i >= 120]


def test_bottleneck_takes_packets_when_the_delay_lets_them_go() -> None:
    """Jitter, then the rate: two directions one behind the other do the same."""
    both = DirectionSettings(20 * MS, 10 * MS, rate_bps=12_000_000, queue_bytes=6400)
    arrivals = [(index * MS, frame(index)) for index in range(1000)]
    through_line = play(Direction(DirectionSettings(20 * MS, 10 * MS), "s"), arrivals)
    rated = DirectionSettings(rate_bps=12_000_000, queue_bytes=6400)
    expected = play(Direction(rated, "s"), through_line)
    assert len(expected) < 1000  # held-up packets come in bursts, which overflow the queue
    assert play(Direction(both, "s"), arrivals) == expected


_SETTINGS = st.builds(
    DirectionSettings,
    delay_ns=st.integers(0, 30 * MS),
    jitter_ns=st.integers(0, 10 * MS),
    loss_enter=st.sampled_from([0.0, 0.1]),
    loss_leave=st.sampled_from([0.5, 1.0]),
    rate_bps=st.one_of(st.none(), st.integers(100_000, 50_000_000)),
    queue_bytes=st.integers(6400, 40_000),
    held_packets=st.just(10_000),
)
_STEPS = st.lists(
    st.tuples(
        st.integers(0, 5 * MS),
        st.one_of(st.integers(60, 1514), _SETTINGS, st.none()),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(first=_SETTINGS, steps=_STEPS)
def test_keeps_order_loses_no_account_and_bounds_its_queue(
    first: DirectionSettings, steps: list[tuple[int, int | DirectionSettings | None]]
) -> None:
    """Arrivals, changes and releases in any mixture; ``lazy`` is released late or not at all."""
    eager, lazy = Direction(first, "h"), Direction(first, "h")
    now, arrived, arrived_bytes = 0, 0, 0
    out_eager: list[bytes] = []
    out_lazy: list[bytes] = []
    for gap_ns, step in steps:
        now += gap_ns
        while eager.due_ns() <= now:
            out_eager += eager.release(eager.due_ns())
        if isinstance(step, DirectionSettings):
            out_eager += eager.change(step, now)
            out_lazy += lazy.change(step, now)
        elif step is None:
            out_lazy += lazy.release(now)
        else:
            arrived, arrived_bytes = arrived + 1, arrived_bytes + step
            for direction in (eager, lazy):
                direction.arrive(frame(arrived, step), now)
        counted = lazy.stats()
        dropped = counted.lost_packets + counted.queue_dropped_packets
        assert arrived == counted.sent_packets + dropped + counted.backlog_packets
        assert counted.sent_packets == len(out_lazy)
    for direction, out in ((eager, out_eager), (lazy, out_lazy)):
        out += direction.release(now + 3600 * 1000 * MS)
        numbers = [number_of(one) for one in out]
        assert numbers == sorted(numbers)
        assert direction.stats().backlog_bytes == direction.stats().backlog_packets == 0
        assert direction.stats().sent_bytes == sum(map(len, out)) <= arrived_bytes
    assert out_eager == out_lazy  # being woken late changes nobody's fate


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    rate=st.integers(100_000, 200_000_000),
    queue=st.integers(6400, 30_000),
    gaps=st.lists(st.tuples(st.integers(0, 3 * MS), st.integers(60, 1514)), max_size=80),
)
def test_bottleneck_is_the_textbook_token_bucket(
    rate: int, queue: int, gaps: list[tuple[int, int]]
) -> None:
    """Against exact fractions: a packet leaves when bucket and packets before it allow."""
    now, arrivals = 0, []
    for gap_ns, size in gaps:
        now += gap_ns
        arrivals.append((now, size))
    # The bucket as a time: ``full_at`` is when it would be full again were nothing sent.
    byte_ns, full_at = Fraction(8 * 10**9, rate), Fraction(0)
    waiting: list[tuple[Fraction, int]] = []
    expected: list[tuple[int, Fraction]] = []
    last = Fraction(0)
    for index, (at, size) in enumerate(arrivals):
        waiting = [(leaves, held) for leaves, held in waiting if leaves > at]
        if sum(held for _, held in waiting) + size > queue:
            continue
        # It needs full_at + size x byte_ns <= leaving time + burst x byte_ns.
        leaves = max(Fraction(at), last, full_at + (size - BURST) * byte_ns)
        full_at = max(full_at, leaves) + size * byte_ns
        last = leaves
        waiting.append((leaves, size))
        expected.append((index, leaves))
    direction = Direction(DirectionSettings(rate_bps=rate, queue_bytes=queue), "s")
    found = play(direction, [(at, frame(k, size)) for k, (at, size) in enumerate(arrivals)])
    assert [number_of(one) for _, one in found] == [index for index, _ in expected]
    for (due, _), (_, leaves) in zip(found, expected, strict=True):
        assert 0 <= due - leaves < 1  # whole nanoseconds, rounded up
