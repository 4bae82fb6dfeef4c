"""The crossover's estimator, on data whose crossover is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evidence.sweeps import crossover
from evidence.sweeps.crossover import find_crossover, root

POINTS = np.log([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0])


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_exact_data_give_the_exact_crossover_and_no_interval_around_it():
    # Straight between 1 (+0.3) and 2 (-0.1): three quarters of the way, on a logarithmic scale.
    line = np.array([0.9, 0.6, 0.3, -0.1, -0.4, -0.5, -0.6])
    found = find_crossover(POINTS, np.tile(line, (6, 1)), rng(), rising=False)
    assert math.exp(found.position) == pytest.approx(2.0**0.75)
    assert (found.low, found.high) == (found.position, found.position)
    assert found.fitted == pytest.approx(line)
    mirrored = find_crossover(POINTS, np.tile(-line, (6, 1)), rng(), rising=True)
    assert mirrored.position == pytest.approx(found.position)


@pytest.mark.parametrize(
    ("line", "rising", "expected"),
    [
        ([-1.0, -0.5], True, math.inf),  # the edge pays at every RTT: crossed beyond
        ([0.5, 1.0], True, -math.inf),  # at none
        ([-0.5, -1.0], False, -math.inf),  # at every rate: crossed below
        ([1.0, 0.5], False, math.inf),
        ([1.0, -3.0], False, 0.25),
        ([0.0, 0.0], True, 0.5),  # equal all along: the middle
        ([-1.0, 0.0], True, 1.0),
    ],
)
def test_a_crossover_outside_is_never_extrapolated(line, rising, expected):
    assert root(np.array([0.0, 1.0]), np.array(line), rising=rising) == expected


def test_a_point_out_of_order_is_pooled_with_its_neighbour():
    # 0.2 after -0.4 breaks the fall: both become their mean, -0.1, so the line crosses before them.
    line = np.array([1.0, -0.4, 0.2, -1.0])
    found = find_crossover(np.arange(4.0), np.tile(line, (6, 1)), rng(), rising=False)
    assert found.fitted == pytest.approx([1.0, -0.1, -0.1, -1.0])
    assert found.position == pytest.approx(1.0 / 1.1)
    assert found.medians == pytest.approx(line)


def test_one_wild_transfer_of_six_moves_nothing_and_a_missing_run_is_left_out():
    line = np.array([0.9, 0.6, 0.3, -0.1, -0.4, -0.5, -0.6])
    runs = np.tile(line, (6, 1))
    runs[2, 3] = 5.0
    runs[4, 2] = np.nan
    found = find_crossover(POINTS, runs, rng(), rising=False)
    assert math.exp(found.position) == pytest.approx(2.0**0.75)


def test_the_interval_reaches_out_of_the_points_where_the_runs_do():
    runs = np.array([[-1.0, -0.6, -0.2], [-1.0, -0.5, 0.4], [-1.0, -0.7, -0.3]] * 2)
    found = find_crossover(np.arange(3.0), runs, rng(), rising=True)
    assert found.position == math.inf
    assert 1.0 < found.low < 2.0
    assert found.high == math.inf


def test_one_repetition_has_no_interval():
    found = find_crossover(np.arange(2.0), np.array([[-1.0, 1.0]]), rng(), rising=True)
    assert found.position == 0.5
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_intervals_hold_the_truth_about_as_often_as_they_say(monkeypatch):
    """Six repetitions, each with a shift of its own, and one transfer in twenty far too late."""
    monkeypatch.setattr(crossover, "RESAMPLES", 200)
    truth = math.log(1.3)
    trials, held, widths = 200, 0, []
    for trial in range(trials):
        draw = np.random.default_rng([11, trial])
        runs = -0.9 * (POINTS - truth) + draw.normal(0.0, 0.1, (6, 1))
        runs = runs + draw.normal(0.0, 0.2, (6, len(POINTS)))
        runs += draw.random(runs.shape) < 0.05
        found = find_crossover(POINTS, runs, draw, rising=False)
        held += found.low <= truth <= found.high
        widths.append(found.high - found.low)
    assert held / trials >= 0.92
    assert np.median(widths) < 0.8  # one as wide as the points, 4.2, would always hold it
