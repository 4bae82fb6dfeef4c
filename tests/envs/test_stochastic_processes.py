"""The random processes against theory: moments, memory, reversibility; the backlog by events."""

from __future__ import annotations

import numpy as np
import pytest

from envs.config import EdgeProcessConfig, LinkProcessConfig, WorkloadConfig
from envs.edge_process import draw_edge
from envs.link_process import draw_links
from envs.scenario import all_local_backlog
from envs.stochastic import earlier_state, earlier_value, ornstein_uhlenbeck, two_state_chain
from envs.workload import WorkloadTable, draw_workload

LANES = 200_000
NOISE = 5.0 / np.sqrt(LANES)
"""Five standard errors of a mean or a correlation of so many independent lanes."""


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def test_ornstein_uhlenbeck_is_stationary_and_forgets_exponentially() -> None:
    gap_s = np.array([0.0, 0.5, 2.0, 7.0, 0.0])[:, None] * np.ones(LANES)
    path = ornstein_uhlenbeck(np.random.default_rng(0), gap_s, sigma=0.4, memory_s=5.0)
    np.testing.assert_allclose(path.mean(axis=1), 0.0, atol=0.4 * NOISE)
    np.testing.assert_allclose(path.std(axis=1), 0.4, rtol=NOISE)
    for now, then, apart_s in ((0, 1, 0.5), (1, 2, 2.0), (0, 3, 9.5)):
        expected = np.exp(-apart_s / 5.0)
        assert _correlation(path[now], path[then]) == pytest.approx(expected, abs=NOISE)
    np.testing.assert_array_equal(path[3], path[4])


def test_an_earlier_value_has_the_joint_law_of_a_later_one() -> None:
    rng = np.random.default_rng(1)
    now = 0.4 * rng.standard_normal(LANES)
    age_s = rng.choice([0.0, 1.0, 6.0], LANES)
    before = earlier_value(rng, now, age_s, sigma=0.4, memory_s=5.0)
    for age in (1.0, 6.0):
        these = age_s == age
        few = 5.0 / np.sqrt(these.sum())
        assert before[these].std() == pytest.approx(0.4, rel=few)
        assert _correlation(before[these], now[these]) == pytest.approx(np.exp(-age / 5), abs=few)
    np.testing.assert_array_equal(before[age_s == 0.0], now[age_s == 0.0])


def test_the_chain_keeps_its_share_and_its_memory() -> None:
    gap_s = np.array([0.0, 1.0, 4.0])[:, None] * np.ones(LANES)
    share = 0.25
    chain = two_state_chain(np.random.default_rng(2), gap_s, share, memory_s=3.0)
    assert set(np.unique(chain)) == {0.0, 1.0}
    np.testing.assert_allclose(chain.mean(axis=1), share, atol=NOISE)
    assert _correlation(chain[0], chain[1]) == pytest.approx(np.exp(-1 / 3), abs=NOISE)
    assert _correlation(chain[0], chain[2]) == pytest.approx(np.exp(-5 / 3), abs=NOISE)


def test_the_chain_against_exponential_holding_times() -> None:
    # The chain with rates on->off 1/2 and off->on 1/6 stays on 2 s and off 6 s at a time: share
    # 1/4, memory 1 / (1/2 + 1/6) = 1.5 s. Played by its jumps, from off, for 2 s.
    rng = np.random.default_rng(3)
    state, left_s = np.zeros(LANES), np.full(LANES, 2.0)
    while np.any(left_s > 0):
        left_s = left_s - rng.exponential(np.where(state == 1.0, 2.0, 6.0))
        state = np.where(left_s > 0, 1.0 - state, state)
    gap_s = np.array([0.0, 2.0])[:, None] * np.ones(4 * LANES)
    chain = two_state_chain(rng, gap_s, 0.25, memory_s=1.5)
    from_off = chain[1][chain[0] == 0.0].mean()
    assert state.mean() == pytest.approx(from_off, abs=1.5 * NOISE)
    assert from_off == pytest.approx(0.25 * (1 - np.exp(-2.0 / 1.5)), abs=NOISE)


def test_an_earlier_state_has_the_joint_law_of_a_later_one() -> None:
    rng = np.random.default_rng(4)
    now = (rng.random(LANES) < 0.3).astype(float)
    before = earlier_state(rng, now, np.full(LANES, 2.0), 0.3, memory_s=4.0)
    assert before.mean() == pytest.approx(0.3, abs=NOISE)
    assert _correlation(before, now) == pytest.approx(np.exp(-0.5), abs=NOISE)
    np.testing.assert_array_equal(earlier_state(rng, now, np.zeros(LANES), 0.3, 4.0), now)


def test_the_backlog_is_that_of_a_queue_played_event_by_event() -> None:
    rng = np.random.default_rng(5)
    gap_s = rng.exponential(1.0, (200, 3))
    gap_s[0] = 0.0
    service_s = rng.exponential(0.9, (200, 3))
    backlog = all_local_backlog(gap_s, service_s)
    for lane in range(3):
        arrivals = np.cumsum(gap_s[:, lane])
        free_at, waits = 0.0, []
        for arrival, service in zip(arrivals, service_s[:, lane], strict=True):
            start = max(free_at, arrival)
            waits.append(start - arrival)
            free_at = start + service
        np.testing.assert_allclose(backlog[:, lane], waits, atol=1e-9)


QUIET = LinkProcessConfig(disturbance_every_s=np.inf, loss_probe_packets=1000)


def test_links_vary_around_their_profile_each_direction_its_own() -> None:
    # congested: 1.3 up, 3.5 down Mbit/s, 55 ms and 20 ms of jitter one way.
    rng = np.random.default_rng(6)
    links = draw_links(rng, QUIET, ("congested",), np.zeros((1, LANES)))
    up, down = np.log(links.true.uplink_bps[0]), np.log(links.true.downlink_bps[0])
    rtt = np.log(links.true.rtt_s[0])
    assert up.mean() == pytest.approx(np.log(1.3e6), abs=0.5 * NOISE)
    assert down.mean() == pytest.approx(np.log(3.5e6), abs=0.5 * NOISE)
    assert rtt.mean() == pytest.approx(np.log(0.110), abs=0.2 * NOISE)
    assert up.std() == pytest.approx(0.5, rel=NOISE)
    assert rtt.std() == pytest.approx(0.2, rel=NOISE)
    assert _correlation(up, down) == pytest.approx(0.0, abs=NOISE)
    np.testing.assert_allclose(links.true.jitter_s, 0.020 * np.sqrt(2))
    np.testing.assert_allclose(links.true.loss, 0.5 / 25.5)


def test_an_estimate_is_old_and_noisy() -> None:
    rng = np.random.default_rng(7)
    links = draw_links(rng, QUIET, ("congested",), np.zeros((1, LANES)))
    age_s = links.measured.age_s[0]
    assert age_s.mean() == pytest.approx(2.0, rel=NOISE)
    error = np.log(links.measured.uplink_bps[0] / links.true.uplink_bps[0])
    # Two values e^-(age/15) correlated, of standard deviation 0.5, and noise of 0.15.
    for low, high in ((0.0, 0.5), (2.0, 3.0), (8.0, 20.0)):
        these = (age_s >= low) & (age_s < high)
        expected = 2 * 0.25 * (1 - np.exp(-age_s[these] / 15.0)).mean() + 0.15**2
        assert error[these].var() == pytest.approx(expected, rel=8.0 / np.sqrt(these.sum()))
    # 1000 probes at a loss of 1.96 %.
    assert links.measured.loss.mean() == pytest.approx(0.5 / 25.5, rel=0.01)
    assert links.measured.loss.std() == pytest.approx(np.sqrt(0.0196 * 0.9804 / 1000), rel=0.02)


def test_disturbances_take_their_share_of_time_and_hurt() -> None:
    config = LinkProcessConfig(rate_sigma=0.0, rtt_sigma=0.0)
    links = draw_links(np.random.default_rng(8), config, ("lte",), np.zeros((1, LANES)))
    rate = links.true.uplink_bps[0] / 14e6
    disturbed = rate < 0.999
    assert disturbed.mean() == pytest.approx(4.0 / 64.0, abs=NOISE)
    assert 0.0099 <= rate[disturbed].min() < 0.0105
    assert 0.195 < rate[disturbed].max() <= 0.2001
    rtt_s = links.true.rtt_s[0]
    np.testing.assert_allclose(rtt_s[~disturbed], 0.040)
    assert 0.06 <= rtt_s[disturbed].min() < 0.0605
    assert 0.385 < rtt_s[disturbed].max() <= 0.3901  # 6 * 40 ms + 150 ms
    assert 0.19 < links.true.loss[0].max() < 0.21


def test_every_lane_draws_one_profile_and_its_radio() -> None:
    links = draw_links(
        np.random.default_rng(9), QUIET, ("lan", "5g_mmwave", "3g"), np.ones((4, 3000))
    )
    assert np.bincount(links.profile).min() > 900
    from offload.energy_model import RADIO_NAMES

    radios = [RADIO_NAMES[index] for index in links.radio[np.argsort(links.profile)]]
    assert list(dict.fromkeys(radios)) == ["wifi", "5g_mmwave", "3g"]


def test_the_edge_is_busy_its_share_of_time_and_waits_are_log_normal() -> None:
    rng = np.random.default_rng(10)
    age_s = rng.exponential(2.0, (1, LANES))
    samples = draw_edge(rng, EdgeProcessConfig(), np.zeros((1, LANES)), age_s)
    for queue_s in (samples.queue_s[0], samples.probed_queue_s[0]):
        assert (queue_s > 0).mean() == pytest.approx(0.3, abs=NOISE)
        logs = np.log(queue_s[queue_s > 0])
        assert logs.mean() == pytest.approx(np.log(0.3), abs=2 * NOISE)
        assert logs.std() == pytest.approx(1.0, rel=2 * NOISE)
    fresh = age_s[0] < 0.05
    changed = (samples.queue_s[0] > 0) != (samples.probed_queue_s[0] > 0)
    assert changed[fresh].mean() < 0.002
    assert changed[age_s[0] > 10.0].mean() > 0.05


def test_tasks_arrive_at_the_load_and_with_the_deadlines_asked_for(
    workload_table: WorkloadTable,
) -> None:
    config = WorkloadConfig(load_low=0.25, load_high=0.25, mix_concentration=1e6)
    work = draw_workload(np.random.default_rng(11), config, workload_table, 40, 5000)
    np.testing.assert_array_equal(work.gap_s[0], 0.0)
    # An even mix of four rows: a mean of 1.65 s a task, so one each 6.6 s at a load of a quarter.
    assert work.gap_s[1:].mean() == pytest.approx(1.647675 / 0.25, rel=0.02)
    slack = work.predicted.deadline_s / work.predicted.local_s
    assert slack.min() >= 1.5
    assert slack.max() <= 5.0
    assert slack.mean() == pytest.approx(3.25, rel=0.01)
    np.testing.assert_array_equal(np.bincount(work.row.ravel()) > 48_000, True)


def test_both_sides_share_the_surprise_of_a_task(workload_table: WorkloadTable) -> None:
    work = draw_workload(
        np.random.default_rng(12), WorkloadConfig(mix_concentration=1e6), workload_table, 40, 5000
    )
    large = work.row == 1  # spread 0.3 shared, 0.03 each side's own
    local = np.log(work.true.local_s[large] / 6.0)
    edge = np.log(work.true.edge_s[large] / 2.0)
    assert local.std() == pytest.approx(np.hypot(0.3, 0.03), rel=0.02)
    assert (local - edge).std() == pytest.approx(0.03 * np.sqrt(2), rel=0.02)
    np.testing.assert_array_equal(work.true.input_bytes, work.predicted.input_bytes)
    np.testing.assert_array_equal(work.predicted.local_s[large], 6.0)
