"""All samples of a link in one estimate: passive transfers, ages, silence, and the budget."""

from __future__ import annotations

import math

import pytest

from netem.estimator import LinkTracker
from netem.estimator.passive import rate_of_transfer
from netem.probe_budget import ProbeBudget
from netem.probe_results import PingGap, ProbeCost
from netem.probe_trains import train_sd, train_seconds
from offload.errors import ConfigError
from offload.interfaces import LinkEstimator
from offload.link_model import transfer_s
from offload.types import LinkState

HIT = PingGap(1, 0, 1, 0)
LTE = LinkState(rtt_s=0.040, jitter_s=0.002, loss=0.0, uplink_bps=1.0, downlink_bps=1.0)


class Now:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def tracker(now: Now) -> LinkTracker:
    """Knows of ten pings of 40 ms, a second ago."""
    made = LinkTracker("cubic", now)
    for k in range(10):
        made.saw_ping(0.040 + 0.001 * (-1) ** k, HIT)
    now.s += 1.0
    return made


@pytest.mark.parametrize("rate_bps", [0.5e6, 5e6, 40e6])
@pytest.mark.parametrize("congestion_control", ["cubic", "bbr"])
def test_rate_of_a_long_transfer(rate_bps: float, congestion_control: str) -> None:
    n_bytes = int(rate_bps)  # about eight seconds
    seconds = 8 * n_bytes / (0.95 * rate_bps) + 0.1  # by hand: payload's share, a few round trips
    sample = rate_of_transfer(n_bytes, seconds, LTE, congestion_control)
    assert sample is not None
    assert sample.rate_bps == pytest.approx(rate_bps, rel=0.05)
    assert 0.19 < sample.sd < 0.25  # the model's own error, hardly widened


def test_slow_start_and_the_way_there_are_taken_off() -> None:
    seconds = float(transfer_s(600_000, 14e6, LTE.rtt_s, LTE.loss, "cubic"))
    assert 8 * 600_000 / seconds < 12e6  # what one would say without
    sample = rate_of_transfer(600_000, seconds, LTE, "cubic")
    assert sample is not None
    assert sample.rate_bps == pytest.approx(14e6, rel=0.1)
    assert sample.sd > 0.22  # some of its time says nothing of the rate


def test_a_transfer_that_shows_no_rate_gives_none() -> None:
    assert rate_of_transfer(1_000, 0.021, LTE, "cubic") is None
    # 691 segments of which some two are lost: CUBIC is slow then, whatever the rate.
    lossy = LinkState(0.040, 0.002, 0.003, 1.0, 1.0)
    assert rate_of_transfer(1_000_000, 3.0, lossy, "cubic") is None
    assert rate_of_transfer(90_000, 3.0, lossy, "cubic") is not None  # 0.19 lost


def test_a_link_is_no_slower_than_what_it_carried(tracker: LinkTracker, now: Now) -> None:
    tracker.saw_ping(0.040, PingGap(4, 2, 2, 0))  # a loss that makes long transfers say little
    tracker.saw_rate(2e6, 0.03, uplink=True)
    tracker.saw_transfer(1_000_000, 1.0, uplink=True)  # 8.36 Mbit/s with headers
    tracker.saw_transfer(1_000_000, 1.0, uplink=True)
    assert tracker.state().uplink_bps == pytest.approx(8.365e6, rel=0.01)
    tracker.saw_transfer(1_000_000, 100.0, uplink=True)  # losses, perhaps
    assert tracker.state().uplink_bps == pytest.approx(8.365e6, rel=0.01)


def test_a_short_message_held_up_is_no_slower_link() -> None:
    assert rate_of_transfer(46_000, 0.5, LTE, "cubic") is not None
    assert rate_of_transfer(46_000, 0.5, LTE, "cubic", believed_bps=100e6) is None
    assert rate_of_transfer(46_000_000, 500.0, LTE, "cubic", believed_bps=100e6) is not None


def test_a_jittery_transfer_says_less() -> None:
    calm = rate_of_transfer(60_000, 0.25, LTE, "bbr")
    shaky = rate_of_transfer(60_000, 0.25, LinkState(0.04, 0.05, 0.0, 1.0, 1.0), "bbr")
    assert calm is not None
    assert shaky is not None
    assert shaky.sd > 1.2 * calm.sd


def test_nothing_known_says_so(now: Now) -> None:
    estimator: LinkEstimator = LinkTracker(now=now)
    state = estimator.state()
    assert math.isnan(state.rtt_s)
    assert math.isnan(state.uplink_bps)
    assert state.age_s == math.inf


def test_transfers_teach_their_own_direction(tracker: LinkTracker, now: Now) -> None:
    tracker.saw_transfer(1_000_000, 8e6 / (0.95 * 2e6) + 0.1, uplink=True)
    tracker.saw_transfer(9_000, 1.0, uplink=False)  # too short to be looked at
    found = tracker.estimate()
    assert found.uplink.value == pytest.approx(2e6, rel=0.05)
    assert found.uplink.sd == pytest.approx(0.2 * 2e6, rel=0.2)
    assert math.isnan(found.downlink.value)
    now.s += 5.0
    found = tracker.estimate()
    assert (found.rtt.age_s, found.uplink.age_s) == (6.0, 5.0)
    assert found.downlink.age_s == math.inf
    assert tracker.state().age_s == 6.0  # the oldest of what was measured


def test_transfers_before_any_round_trip_teach_nothing(now: Now) -> None:
    tracker = LinkTracker(now=now)
    tracker.saw_transfer(1_000_000, 4.0, uplink=True)
    assert math.isnan(tracker.estimate().uplink.value)


def test_a_tenfold_drop_of_the_rate_is_seen_in_three_transfers(
    tracker: LinkTracker, now: Now
) -> None:
    for _ in range(10):
        now.s += 3.0
        tracker.saw_rate(20e6, 0.05, uplink=False)
    for _ in range(3):
        now.s += 3.0
        tracker.saw_ping(0.040, HIT)
        tracker.saw_transfer(2_000_000, 16e6 / (0.95 * 2e6) + 0.1, uplink=False)
    assert tracker.state().downlink_bps == pytest.approx(2e6, rel=0.1)


def test_a_train_outweighs_a_transfer(tracker: LinkTracker) -> None:
    tracker.saw_rate(10e6, 0.03, uplink=True)
    tracker.saw_transfer(5_000_000, 40e6 / (0.95 * 8e6) + 0.1, uplink=True)
    assert tracker.state().uplink_bps == pytest.approx(10e6, rel=0.02)


def test_loss_of_the_link_is_the_mean_of_both_directions(tracker: LinkTracker) -> None:
    tracker.saw_ping(0.040, PingGap(10, 4, 6, 0))
    found = tracker.estimate()
    assert found.uplink_loss.value == pytest.approx(4 / 20, rel=0.01)
    assert found.downlink_loss.value == 0.0
    assert found.state().loss == pytest.approx(4 / 36, rel=0.01)  # of 36 packets, 4


def test_pings_lost_at_the_end_count_half_each_way(tracker: LinkTracker) -> None:
    tracker.saw_unanswered(10)
    found = tracker.estimate()
    assert found.uplink_loss.value == pytest.approx(5 / 20, rel=0.01)
    assert found.downlink_loss.value == pytest.approx(5 / 15, rel=0.01)


def test_silence_is_loss_one_until_something_answers(tracker: LinkTracker, now: Now) -> None:
    tracker.saw_silence()
    now.s += 2.0
    state = tracker.state()
    assert (state.loss, state.age_s) == (1.0, 2.0)
    assert state.rtt_s == pytest.approx(0.040, rel=0.01)  # what was known stays
    tracker.saw_ping(0.040, HIT)
    assert tracker.state().loss == 0.0


def test_budget_by_hand() -> None:
    budget = ProbeBudget(0.01, 0.0, ProbeCost())
    budget.update(0.0, 0.3e6, 0.5e6, ProbeCost())
    # 1 % of 0.3 Mbit/s is 375 byte/s; pings may have 30 % of that, at 106 bytes each.
    assert budget.ping_interval_s == pytest.approx(106 / 112.5)
    assert budget.train(0.05, uplink=True) == 0
    budget.update(41.0, 0.3e6, 0.5e6, ProbeCost())  # 15,375 bytes: ten packets and the talk
    assert budget.train(0.05, uplink=True) == 0
    budget.update(42.0, 0.3e6, 0.5e6, ProbeCost())
    assert budget.train(0.05, uplink=True) == 10
    budget.update(42.0, 0.3e6, 0.5e6, ProbeCost(uplink_bytes=15_480))
    assert budget.train(0.05, uplink=True) == 0
    assert budget.train(0.05, uplink=False) == 10  # its own direction's credit


def test_budget_keeps_its_share_over_an_hour() -> None:
    for rate_bps in (0.3e6, 5e6, 200e6):
        budget = ProbeBudget(0.01, 0.0, ProbeCost())
        spent = now_s = 0.0
        while now_s < 3600:
            budget.update(now_s, rate_bps, rate_bps, ProbeCost(int(spent), int(spent)))
            packets = budget.train(0.02, uplink=True)
            spent += packets * 1442 + 1060 if packets else 106
            now_s += budget.ping_interval_s
        assert 0.5 < 8 * spent / 3600 / (0.01 * rate_bps) <= 1.0 + 300 / 3600


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5, math.nan])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="budget_share"):
        ProbeBudget(share, 0.0, ProbeCost())


def test_pings_go_on_when_no_rate_is_known() -> None:
    budget = ProbeBudget(0.01, 0.0, ProbeCost())
    assert budget.ping_interval_s == 30.0
    assert budget.train(0.02, uplink=True) == 0


def test_trains_are_as_long_as_jitter_asks_and_then_as_sure() -> None:
    assert [train_seconds(jitter_s) for jitter_s in (0.0, 0.02, 0.2)] == [0.03, 0.09, 0.25]
    assert train_sd(100, 1e6, 0.001) == pytest.approx(0.03, rel=0.01)
    assert train_sd(10, 10e6, 0.02) > 0.3  # 12 ms of packets say little under 20 ms of jitter
