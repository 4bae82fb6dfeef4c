"""Probe times against theory: exponential ages, Poisson gaps, and what is shared between probes."""

from __future__ import annotations

import numpy as np
import pytest

from envs.probe_times import draw_probe_times

LANES = 200_000
NOISE = 5.0 / np.sqrt(LANES)


def test_ages_are_exponential_at_every_decision_however_far_apart() -> None:
    gap_s = np.array([0.0, 0.3, 10.0, 1.0, 0.01])[:, None] * np.ones(LANES)
    probes = draw_probe_times(np.random.default_rng(0), gap_s, every_s=2.0)
    np.testing.assert_allclose(probes.age_s.mean(axis=1), 2.0, rtol=NOISE)
    for after_s in (0.5, 3.0):
        expected = np.exp(-after_s / 2.0)
        np.testing.assert_allclose((probes.age_s > after_s).mean(axis=1), expected, atol=NOISE)


def test_decisions_share_a_probe_with_the_chance_that_none_came_between() -> None:
    gap_s = np.array([0.0, 0.3, 1.0, 2.0])[:, None] * np.ones(LANES)
    probes = draw_probe_times(np.random.default_rng(1), gap_s, every_s=2.0)
    for now, then, apart_s in ((0, 1, 0.3), (1, 2, 1.0), (0, 2, 1.3), (0, 3, 3.3)):
        shared = probes.newest[now] == probes.newest[then]
        assert shared.mean() == pytest.approx(np.exp(-apart_s / 2.0), abs=NOISE)
        grown_s = probes.age_s[then][shared] - probes.age_s[now][shared]
        np.testing.assert_allclose(grown_s, apart_s)
        assert np.all(probes.age_s[then][~shared] <= apart_s)


def test_the_rows_tell_the_time_of_every_decision_and_of_its_last_probe() -> None:
    gap_s = np.random.default_rng(2).exponential(1.5, (40, 300))
    probes = draw_probe_times(np.random.default_rng(3), gap_s, every_s=1.0)
    assert np.all(probes.gap_s >= 0.0)
    clock_s = np.cumsum(probes.gap_s, axis=0)
    decided_s = clock_s[1::2]
    np.testing.assert_allclose(np.diff(decided_s, axis=0), gap_s[1:])
    probed_s = probes.at_last_probe(clock_s[0::2])
    np.testing.assert_allclose(decided_s - probed_s, probes.age_s, atol=1e-9)


def test_with_no_time_between_probes_every_decision_has_a_fresh_one() -> None:
    probes = draw_probe_times(np.random.default_rng(4), np.ones((5, 100)), every_s=0.0)
    np.testing.assert_array_equal(probes.age_s, 0.0)
    np.testing.assert_array_equal(probes.newest, np.arange(5)[:, None] * np.ones(100, dtype=int))
