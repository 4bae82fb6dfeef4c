"""Loss from counts: against a simulated Gilbert-Elliott channel and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from netem.estimator.loss import LossTracker
from netem.ping_run import PingRun
from netem.probe_results import PingGap
from netem.probe_wire import Kind, Message


def channel(rng: np.random.Generator, enter: float, leave: float, packets: int) -> list[bool]:
    """Which packets a two-state channel loses, begun in its steady state."""
    bad = rng.random() < enter / (enter + leave)
    lost = []
    for draw in rng.random(packets):
        lost.append(bad)
        bad = draw >= leave if bad else draw < enter
    return lost


def feed(tracker: LossTracker, lost: list[bool], begin_s: float = 0.0) -> None:
    """As probes report it: with each packet that arrived, those lost since the one before."""
    missing = 0
    for number, gone in enumerate(lost):
        if gone:
            missing += 1
        else:
            tracker.add(begin_s + 0.01 * number, missing + 1, missing)
            missing = 0


@pytest.mark.parametrize(("enter", "leave"), [(0.02, 0.5), (0.005, 0.25), (0.02, 0.2)])
def test_thousand_probes_say_what_they_can_and_how_sure_that_is(enter: float, leave: float) -> None:
    rng = np.random.default_rng(7)
    share = enter / (enter + leave)
    found, within = [], []
    for _ in range(300):
        tracker = LossTracker()
        feed(tracker, channel(rng, enter, leave, 1000))
        found.append(tracker.loss)
        within.append(abs(tracker.loss - share) < 2 * tracker.sd)
    # Bursts widen the binomial error by (2 - p - r) / (p + r).
    by_chance = math.sqrt(share * (1 - share) / 1000 * (2 - enter - leave) / (enter + leave))
    assert np.mean(found) == pytest.approx(share, abs=4 * by_chance / math.sqrt(300))
    assert np.std(found) == pytest.approx(by_chance, rel=0.25)
    assert np.mean(within) >= 0.85  # four bursts are no normal sample


def test_no_loss_seen_is_not_certainty() -> None:
    tracker = LossTracker()
    tracker.add(0.0, 100, 0)
    assert tracker.loss == 0.0
    assert tracker.sd == pytest.approx(math.sqrt(0.5 / 101) / 10, rel=0.01)


def test_memory_is_a_thousand_packets_and_fades_with_time() -> None:
    tracker = LossTracker()
    for number in range(5000):
        tracker.add(0.001 * number, 1, 0)
    assert tracker.samples == pytest.approx(1000, rel=0.01)
    tracker.add(5.0 + 600.0, 1, 0)
    assert tracker.samples == pytest.approx(1000 / math.e, rel=0.02)


def test_a_link_that_turns_bad_or_good_is_believed_soon() -> None:
    rng = np.random.default_rng(8)
    tracker = LossTracker()
    feed(tracker, [False] * 2000)
    feed(tracker, channel(rng, 0.05, 0.45, 150), begin_s=20.0)
    assert 0.04 < tracker.loss < 0.2  # the plain average is 0.015
    feed(tracker, channel(rng, 0.05, 0.45, 2000), begin_s=30.0)
    feed(tracker, [False] * 350, begin_s=60.0)
    assert tracker.loss < 0.01


def test_one_burst_on_a_good_link_is_no_change() -> None:
    tracker = LossTracker()
    feed(tracker, ([False] * 996 + [True] * 3 + [False]) * 2)
    assert 0.002 < tracker.loss < 0.005  # of the last 60 packets alone it is 0.05


def pong(index: int, count: int) -> Message:
    return Message(Kind.PONG, b"12345678", group=4, index=index, count=count, nanoseconds=1_000_000)


def test_ping_run_says_which_way_each_was_lost() -> None:
    run = PingRun(4)
    for number in range(10):
        assert run.send(10_000_000 * number) == number
    assert run.answered(pong(0, 1), 21_000_000) == (pytest.approx(0.020), PingGap(1, 0, 1, 0))
    # 1 and 2 never reached the edge; the answer to 3 was lost; 4 came back.
    assert run.answered(pong(4, 3), 61_000_000) == (pytest.approx(0.020), PingGap(4, 2, 2, 1))
    # 6 overtook 5, which had been counted as lost on the way down.
    assert run.answered(pong(6, 5), 81_000_000) == (pytest.approx(0.020), PingGap(2, 0, 2, 1))
    assert run.answered(pong(5, 4), 81_000_000) == (
        pytest.approx(0.030),
        PingGap(0, 0, 0, 0, late=True),
    )
    assert run.answered(pong(5, 4), 82_000_000) is None  # a second copy
    assert run.unanswered == 3
    assert run.echoes().uplink_loss == pytest.approx(2 / 7)
    assert run.echoes().downlink_loss == pytest.approx(1 / 5)


def test_answer_to_another_run_is_none() -> None:
    run = PingRun(5)
    run.send(0)
    assert run.answered(pong(0, 1), 1_000_000) is None
