"""The estimator's averages on samples whose truth is known: steps, outliers, age, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from netem.estimator.decaying import DecayingMean
from netem.estimator.level import Level
from netem.estimator.round_trips import RoundTripTracker


def test_weights_fall_with_age() -> None:
    mean = DecayingMean(memory_s=10.0)
    mean.add(0.0, 1.0)
    mean.add(10.0 * math.log(3), 5.0)  # the first now weighs a third
    assert mean.value == pytest.approx((1 / 3 * 1.0 + 5.0) / (4 / 3))
    assert mean.samples == pytest.approx((4 / 3) ** 2 / (1 + 1 / 9))


def test_an_accurate_sample_weighs_more() -> None:
    level = Level(memory_s=1e9)
    level.add(0.0, 1.0, sd=0.1)
    level.add(0.0, 1.2, sd=0.2)  # weights 100 and 25
    assert level.value == pytest.approx(1.0 + 0.2 * 25 / 125)
    assert level.sd == pytest.approx(1 / math.sqrt(125), rel=0.02)


def test_the_standard_error_is_the_error() -> None:
    rng = np.random.default_rng(1)
    within = []
    for _ in range(500):
        level = Level(memory_s=20.0)
        for at_s in range(60):
            sd = rng.uniform(0.05, 0.3)
            level.add(float(at_s), 3.0 + sd * rng.standard_normal(), sd)
        within.append(abs(level.value - 3.0) < 2 * level.sd)
    # 95 % for a normal error; the standard error of that share is 1 %.
    assert 0.90 <= np.mean(within) <= 0.99


def test_samples_that_scatter_more_than_they_say_widen_the_error() -> None:
    rng = np.random.default_rng(2)
    said, seen = Level(1e9), Level(1e9)
    for at_s in range(200):
        noise = rng.standard_normal()
        said.add(float(at_s), 0.1 * noise, 0.1)
        seen.add(float(at_s), 0.2 * noise, 0.1)
    assert said.sd == pytest.approx(0.1 / math.sqrt(200), rel=0.4)
    assert seen.sd > 1.5 * said.sd


@pytest.mark.parametrize("factor", [10.0, 0.1])
def test_a_tenfold_step_is_followed_within_two_samples(factor: float) -> None:
    rng = np.random.default_rng(3)
    level = Level(memory_s=60.0)
    for at_s in range(50):
        level.add(float(at_s), math.log(10e6) + 0.1 * rng.standard_normal(), 0.1)
    level.add(50.0, math.log(factor * 10e6) + 0.05, 0.1)
    assert math.exp(level.value) == pytest.approx(10e6, rel=0.1)  # it may be an outlier
    assert level.sd == pytest.approx(math.log(10), rel=0.1)  # and it may not
    level.add(51.0, math.log(factor * 10e6) - 0.05, 0.1)
    assert math.exp(level.value) == pytest.approx(factor * 10e6, rel=0.01)


def test_one_outlier_hardly_moves_it() -> None:
    level = Level(memory_s=1e9)
    for at_s in range(20):
        level.add(float(at_s), 0.1 * (-1) ** at_s, 0.1)
    level.add(20.0, 1000.0, 0.1)
    # Counted as three standard deviations, it is one of 21 samples of equal weight.
    assert 0.0 < level.value < 3.3 * 0.1 / 21
    for at_s in range(21, 40):
        assert level.add(float(at_s), 0.1 * (-1) ** at_s, 0.1) == []
    assert level.sd < 0.05  # no doubt is left


def test_steady_noise_hardly_ever_makes_it_jump() -> None:
    rng = np.random.default_rng(4)
    level = Level(memory_s=100.0)
    jumps = sum(
        bool(level.add(float(at_s), value, 1.0))
        for at_s, value in enumerate(rng.standard_normal(20_000))
    )
    assert jumps <= 8  # about two by theory


def test_rtt_and_jitter_are_those_of_the_samples_with_honest_errors() -> None:
    rng = np.random.default_rng(5)
    rtt_ok, jitter_ok, jitters = [], [], []
    for _ in range(300):
        trips = RoundTripTracker()
        for k in range(80):
            trips.add(0.5 * k, 0.100 + 0.015 * rng.standard_normal())
        rtt_ok.append(abs(trips.rtt_s - 0.100) < 2 * trips.rtt_sd_s)
        jitter_ok.append(abs(trips.jitter_s - 0.015) < 2 * trips.jitter_sd_s)
        jitters.append(trips.jitter_s)
    assert np.mean(rtt_ok) >= 0.9
    assert np.mean(jitter_ok) >= 0.9
    assert np.mean(jitters) == pytest.approx(0.015, rel=0.03)


def test_another_link_is_known_anew_within_a_few_round_trips() -> None:
    rng = np.random.default_rng(6)
    trips = RoundTripTracker()
    for k in range(200):
        trips.add(0.5 * k, 0.010 + 0.001 * rng.standard_normal())
    for k in range(200, 203):
        trips.add(0.5 * k, 0.200 + 0.030 * rng.standard_normal())
    assert trips.rtt_s == pytest.approx(0.200, abs=0.060)  # after three
    for k in range(203, 230):
        trips.add(0.5 * k, 0.200 + 0.030 * rng.standard_normal())
    assert trips.rtt_s == pytest.approx(0.200, abs=0.025)
    assert trips.jitter_s == pytest.approx(0.030, rel=0.5)


def test_round_trips_of_ones_own_connection_count_less_and_for_the_rtt_alone() -> None:
    trips = RoundTripTracker()
    trips.add(0.0, 5.0, extra_sd_s=0.001)  # before any ping there is nothing to weigh it against
    assert math.isnan(trips.rtt_s)
    for k in range(10):
        trips.add(k + 1.0, 0.010 + 1e-4 * (-1) ** k)
    jitter_s = trips.jitter_s
    trips.add(11.0, 0.0105, extra_sd_s=0.001)  # a hundredth of a ping's weight
    assert trips.rtt_s == pytest.approx(0.010, abs=1e-5)
    assert trips.jitter_s == jitter_s
    for k in range(5):
        trips.add(12.0 + k, 0.300, extra_sd_s=0.001)  # lost and sent again, every one
    assert trips.rtt_s == pytest.approx(0.010, rel=0.05)
