"""The random processes against theory: moments, memory, lengths; the backlog by events."""

from __future__ import annotations

import numpy as np
import pytest

from envs.config import EdgeProcessConfig, WorkloadConfig
from envs.edge_process import draw_edge
from envs.probe_times import draw_probe_times
from envs.scenario import all_local_backlog
from envs.stochastic import episodes, ornstein_uhlenbeck, two_state_chain
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


def test_each_lane_may_have_a_size_of_its_own() -> None:
    sigma = np.repeat([0.1, 2.0], LANES // 2)
    path = ornstein_uhlenbeck(np.random.default_rng(1), np.ones((2, LANES)), sigma, memory_s=5.0)
    for half, expected in ((slice(0, LANES // 2), 0.1), (slice(LANES // 2, None), 2.0)):
        np.testing.assert_allclose(path[:, half].std(axis=1), expected, rtol=2 * NOISE)
        correlation = _correlation(path[0, half], path[1, half])
        assert correlation == pytest.approx(np.exp(-0.2), abs=2 * NOISE)


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


def test_stays_keep_their_share_their_severity_and_their_memory() -> None:
    # On 2 s, off 6 s at a time: on for a quarter of the time.
    gap_s = np.array([0.0, 0.7, 3.0, 0.0])[:, None] * np.ones(LANES)
    severity = episodes(np.random.default_rng(4), gap_s, every_s=6.0, lasts_s=2.0)
    on = severity > 0.0
    np.testing.assert_allclose(on.mean(axis=1), 0.25, atol=NOISE)
    for row in range(4):
        few = 5.0 / np.sqrt(on[row].sum())
        assert severity[row][on[row]].mean() == pytest.approx(0.5, abs=few / np.sqrt(12))
        assert severity[row][on[row]].std() == pytest.approx(1 / np.sqrt(12), rel=few)
    np.testing.assert_array_equal(severity[2], severity[3])
    for now, then, apart_s in ((0, 1, 0.7), (1, 2, 3.0), (0, 2, 3.7)):
        same = on[now] & (severity[now] == severity[then])
        assert same.mean() == pytest.approx(0.25 * np.exp(-apart_s / 2.0), abs=NOISE)
        both = 0.25 * (0.25 + 0.75 * np.exp(-apart_s / 1.5))
        assert (on[now] & on[then]).mean() == pytest.approx(both, abs=NOISE)
        # A stay that is another one by then has a severity of its own.
        other = (on[now] & on[then] & ~same).nonzero()
        correlation = _correlation(severity[now][other], severity[then][other])
        assert correlation == pytest.approx(0.0, abs=5.0 / np.sqrt(len(other[0])))


def test_stays_last_and_keep_away_as_long_as_told() -> None:
    # Seen each 0.1 s, a stay of mean 0.8 s is left with chance 1 - e^-(1/8) a look, so it is seen
    # 1 / that many times on average; a sample of n such counts has a mean within sd / sqrt(n).
    gap_s = np.full((4000, 400), 0.1)
    severity = episodes(np.random.default_rng(5), gap_s, every_s=5.0, lasts_s=0.8)
    changes = severity[1:] != severity[:-1]
    begins = changes & (severity[1:] > 0.0)
    seen = 1.0 / (1.0 - np.exp(-0.1 / 0.8))
    looks_a_stay = (severity[1:] > 0.0).sum() / begins.sum()
    assert looks_a_stay == pytest.approx(seen, rel=5.0 / np.sqrt(begins.sum()))
    # One stay each 5.8 s, but for those that begin and end between two looks: of the stays, the
    # chance to be seen at all is (time on, times the chance a look to leave) / look.
    stays_a_second = begins.sum() / (0.1 * begins.size)
    expected = 0.8 / 5.8 / (0.1 * seen)
    assert stays_a_second == pytest.approx(expected, rel=5.0 / np.sqrt(begins.sum()))


def test_stays_that_are_told_never_to_come_do_not() -> None:
    rng = np.random.default_rng(6)
    assert not np.any(episodes(rng, np.full((50, 1000), 3.0), every_s=np.inf, lasts_s=2.0))


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


def test_the_edge_is_busy_its_share_of_time_and_waits_are_log_normal() -> None:
    rng = np.random.default_rng(10)
    probes = draw_probe_times(rng, np.zeros((1, LANES)), every_s=2.0)
    age_s = probes.age_s
    samples = draw_edge(rng, EdgeProcessConfig(), probes)
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
