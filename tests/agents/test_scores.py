"""Scores of a rollout written out by hand, and their intervals against theory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import trim_mean

from agents.rollout import Rollout
from agents.scores import RESAMPLES, bootstrap_counts, mean_interval, score, trimmed_interval


def _rollout() -> Rollout:
    """Two steps of three scenarios."""
    placement = np.array([[0, 1, 1], [0, 0, 1]])
    local_cost = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    edge_cost = np.array([[1.5, 1.019, 0.5], [0.4, 0.985, 1.2]])
    return Rollout(
        placement=placement,
        optimum=np.array([[0, 0, 1], [1, 1, 0]]),
        cost=np.where(placement == 1, edge_cost, local_cost),
        local_cost=local_cost,
        edge_cost=edge_cost,
        seconds=np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
        energy_j=np.array([[1.0, 1.0, 1.0], [3.0, 3.0, 3.0]]),
        missed=np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        fell_back=np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]),
    )


def test_every_figure_by_hand() -> None:
    played = _rollout()
    oracle = replace(played, cost=np.array([[1.0, 1.0, 0.5], [0.4, 0.985, 1.0]]))
    counts = bootstrap_counts(np.zeros(3, dtype=int), np.random.default_rng(0))
    result = score(played, oracle, counts)
    # Right: (0,0), (0,2). Ties within 2 %: (0,1) by 1.9 %, (1,1) by 1.5 %.
    assert result.accuracy.value == pytest.approx(2 / 6)
    assert result.accuracy_ties.value == pytest.approx(4 / 6)
    assert result.cost.value == pytest.approx((1 + 1.019 + 0.5 + 1 + 1 + 1.2) / 6)
    # Above the better side: 0, 0.019, 0, 0.6, 0.015, 0.2.
    assert result.regret_step.value == pytest.approx(0.834 / 6)
    assert result.regret_maui_true.value == pytest.approx((0.019 + 0.6 + 0.015 + 0.2) / 6)
    # Scenario means: 1, 1.0095, 0.85; int(0.75) scenarios are cut, so none of three.
    assert result.cost_iqm.value == pytest.approx((1 + 1.0095 + 0.85) / 3)
    assert result.latency_p50_s == pytest.approx(3.5)
    assert result.latency_p95_s == pytest.approx(5.75)
    assert result.energy_j == pytest.approx(2.0)
    assert result.offloaded == pytest.approx(0.5)
    assert result.deadline_misses == pytest.approx(2 / 6)
    assert result.fallbacks == pytest.approx(1 / 6)
    assert not result.collapsed
    assert result.as_dict()["cost"] == result.cost.as_list()


def test_a_tie_is_measured_by_the_smaller_cost() -> None:
    played = replace(_rollout(), edge_cost=np.array([[1.5, 1.0201, 0.5], [0.4, 0.9803, 1.2]]))
    counts = bootstrap_counts(np.zeros(3, dtype=int), np.random.default_rng(0))
    # 2.01 % and 2.0096 % are no ties.
    assert score(played, played, counts).accuracy_ties.value == pytest.approx(2 / 6)


@pytest.mark.parametrize("side", [0, 1])
def test_the_collapse_alarm(side: int) -> None:
    base = _rollout()
    counts = bootstrap_counts(np.zeros(3, dtype=int), np.random.default_rng(0))
    stuck = replace(base, placement=np.full((2, 3), side))
    assert score(stuck, base, counts).collapsed
    nearly = np.full((2, 3), side)
    nearly[0, 0] = 1 - side
    assert not score(replace(base, placement=nearly), base, counts).collapsed


def test_resamples_keep_their_strata() -> None:
    strata = np.array([2, 0, 2, 2, 0, 1])
    counts = bootstrap_counts(strata, np.random.default_rng(1))
    assert counts.shape == (RESAMPLES, 6)
    for stratum, size in ((0, 2), (1, 1), (2, 3)):
        np.testing.assert_array_equal(counts[:, strata == stratum].sum(axis=1), size)
    assert (counts[:, 5] == 1).all()
    assert counts[:, 0].std() > 0.5


def test_the_interval_of_a_mean_by_explicit_resampling() -> None:
    rng = np.random.default_rng(2)
    values = rng.exponential(1.0, 37)
    counts = bootstrap_counts(np.zeros(37, dtype=int), rng)
    means = [np.repeat(values, row.astype(int)).mean() for row in counts]
    interval = mean_interval(values, counts)
    assert interval.value == pytest.approx(values.mean())
    np.testing.assert_allclose(
        [interval.low, interval.high], np.percentile(means, [2.5, 97.5]), rtol=1e-12
    )


@pytest.mark.parametrize("n", [4, 21])
def test_the_interval_of_an_interquartile_mean_by_scipy(n: int) -> None:
    rng = np.random.default_rng(n)
    values = rng.exponential(1.0, n)
    counts = bootstrap_counts(rng.integers(2, size=n), rng)
    means = [trim_mean(np.repeat(values, row.astype(int)), 0.25) for row in counts]
    interval = trimmed_interval(values, counts)
    assert interval.value == pytest.approx(trim_mean(values, 0.25))
    np.testing.assert_allclose(
        [interval.low, interval.high], np.percentile(means, [2.5, 97.5]), rtol=1e-12
    )


def test_intervals_cover_the_mean_as_often_as_they_say() -> None:
    # Two strata of different means, 30 scenarios each; the true mean is 1.5. The percentile
    # bootstrap of 60 normal values covers some 94 %; 200 trials tell that to 1.7 %.
    rng = np.random.default_rng(3)
    strata = np.repeat([0, 1], 30)
    covered = 0
    for _ in range(200):
        values = strata + 1.0 + 0.7 * rng.standard_normal(60)
        interval = mean_interval(values, bootstrap_counts(strata, rng))
        covered += interval.low <= 1.5 <= interval.high
    assert 0.90 <= covered / 200 <= 0.99
