"""The bound by redraws: by hand, in worlds where little is hidden, and in the full one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.fixed import FixedPolicy
from agents.maui_policy import MauiPolicy
from benchmarks import irreducible
from benchmarks.irreducible_bound.bounds import Bound, bound_of
from benchmarks.irreducible_bound.kept import KeptEdges, KeptProfiles, KeptTraces
from benchmarks.irreducible_bound.redraws import Given, Redraw, last_known
from benchmarks.irreducible_bound.table import tables
from benchmarks.irreducible_bound.walk import GIVEN, Walk, walk
from envs.config import EdgeProcessConfig, EnvConfig, LinkProcessConfig, WorkloadConfig
from envs.probe_times import ProbeTimes
from envs.scenario import draw_scenario
from envs.workload import WorkloadTable
from offload.errors import ConfigError
from offload.tasks.profile_table import load_profile_table
from offload.types import Objective, Placement, TaskProfile

TRACES = (str(Path(__file__).resolve().parents[2] / "docs" / "traces" / "sample.csv"),)
NOW, EDGE_KNOWN, BOTH_KNOWN = GIVEN
QUIET = LinkProcessConfig(disturbance_every_s=np.inf)


@pytest.fixture(scope="module")
def table() -> WorkloadTable:
    return WorkloadTable.of(load_profile_table(), EnvConfig().workload)


def _row(task: TaskProfile, step: int) -> TaskProfile:
    return TaskProfile(*(getattr(task, name)[step] for name in TaskProfile.__slots__))


def _measured(objective: Objective = Objective.MIXED) -> MauiPolicy:
    return MauiPolicy(objective, sees_truth=False)


def _mean(bounds: list[Bound], name: str) -> float:
    return float(np.mean([getattr(bound, name) for bound in bounds]))


def test_a_bound_is_the_share_of_the_likelier_optimum() -> None:
    # Lane 0 is the edge's in each half three times of four; lane 1 always the device's.
    optima = np.array([[1, 0], [1, 0], [0, 0], [1, 0]] * 2, dtype=float)
    local = np.array([[1.0, 1.0]] * 8)
    edge = np.where(optima == 1, 0.6, 5.0)  # on average 1.7: the device is cheaper
    found = bound_of(optima, np.stack([local, edge], axis=1), np.array([1, 0]))
    for right in (found.right, found.right_high):
        np.testing.assert_allclose(right, [0.75, 1.0])
    for cost in (found.cost, found.cost_low):
        np.testing.assert_allclose(cost, [1.0, 1.0])
    np.testing.assert_allclose(found.true_cost, [0.75 * 0.6 + 0.25, 1.0])
    np.testing.assert_allclose(found.policy_right, [0.75, 1.0])
    np.testing.assert_allclose(found.policy_cost, [0.75 * 0.6 + 0.25 * 5.0, 1.0])


def test_halves_that_disagree_are_too_tight_and_one_sample_too_loose() -> None:
    # First half the edge's, second half the device's, by its optimum and by its cost: either
    # choice is wrong in the other half; in all redraws together either is right in half of them.
    optima = np.array([[1], [1], [0], [0]], dtype=float)
    edge = np.where(optima == 1, 0.5, 2.0)
    found = bound_of(optima, np.stack([np.ones((4, 1)), edge], axis=1), np.array([0]))
    assert (found.right[0], found.right_high[0]) == (0.0, 0.5)
    assert (found.cost[0], found.cost_low[0]) == (1.5, 1.0)


def test_what_was_last_known_is_the_probe_or_a_later_remote_run() -> None:
    # Lane 0 probes 0.5 s before decision 1 and not again; lane 1 only before the first.
    gap_s = np.array([[0.0, 0.0], [0.2, 0.3], [1.5, 0.0], [0.5, 2.0], [0.0, 0.0], [3.0, 4.0]])
    probes = ProbeTimes(np.zeros((3, 2)), gap_s, newest=np.array([[0, 0], [1, 0], [1, 0]]))
    never = last_known(probes, 2, np.array([-1, -1]))
    np.testing.assert_array_equal(never.row, [2, 0])
    np.testing.assert_allclose(never.age_s, [3.5, 6.3])
    # A run of decision 0 is older than lane 0's probe, and newer than lane 1's.
    first = last_known(probes, 2, np.array([0, 0]))
    np.testing.assert_array_equal(first.row, [2, 1])
    np.testing.assert_allclose(first.age_s, [3.5, 6.0])
    second = last_known(probes, 2, np.array([1, 1]))
    np.testing.assert_array_equal(second.row, [3, 3])
    np.testing.assert_allclose(second.age_s, [3.0, 4.0])


@pytest.mark.parametrize("measured", [False, True])
def test_kept_scenarios_are_those_that_everyone_meets(measured: bool, table: WorkloadTable) -> None:
    config = EnvConfig(traces=TRACES if measured else ())
    links = KeptTraces() if measured else KeptProfiles()
    kept = draw_scenario(np.random.default_rng(3), config, table, 20, links, KeptEdges())
    plain = draw_scenario(np.random.default_rng(3), config, table, 20)
    np.testing.assert_array_equal(kept.true_moved.download_s, plain.true_moved.download_s)
    np.testing.assert_array_equal(kept.edge.probed_queue_s, plain.edge.probed_queue_s)
    # At each decision as in the block, where the luck of transfers is nil.
    calm = replace(config, link=replace(config.link, transfer_spread=0.0))
    kept = draw_scenario(np.random.default_rng(3), calm, table, 20, links, KeptEdges())
    for step in (0, 40):
        task = _row(kept.work.true, step)
        link, moved = links.now(step, task, kept.edge.queue_s[step])
        np.testing.assert_array_equal(link.uplink_bps, kept.links.true.uplink_bps[step])
        np.testing.assert_allclose(moved.upload_s, kept.true_moved.upload_s[step])
        np.testing.assert_allclose(moved.download_s, kept.true_moved.download_s[step])


def test_measured_links_are_always_given_away(table: WorkloadTable) -> None:
    still = EnvConfig(traces=TRACES, edge=EdgeProcessConfig(busy_share_high=0.0))
    found = walk(_measured(), still, table, episodes=8, redraws=6, seed=2)
    assert list(found.bounds) == [NOW, EDGE_KNOWN]
    assert _mean(found.bounds[NOW], "cost") == _mean(found.bounds[EDGE_KNOWN], "cost")


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(EnvConfig(link=replace(QUIET, estimate_age_s=0.0)), id="nothing is old"),
        pytest.param(
            EnvConfig(
                link=replace(QUIET, rate_sigma=0.0, rtt_sigma=0.0),
                edge=EdgeProcessConfig(busy_share_high=0.0),
            ),
            id="nothing moves",
        ),
    ],
)
def test_without_age_or_movement_all_bounds_are_one(
    config: EnvConfig, table: WorkloadTable
) -> None:
    found = walk(_measured(), config, table, episodes=20, redraws=10, seed=1)
    for name in Bound.__slots__:
        loosest = [getattr(bound, name) for bound in found.bounds[NOW]]
        for given in (EDGE_KNOWN, BOTH_KNOWN):
            these = [getattr(bound, name) for bound in found.bounds[given]]
            np.testing.assert_allclose(these, loosest, rtol=1e-9)


@pytest.fixture(scope="module")
def full(table: WorkloadTable) -> Walk:
    return walk(_measured(), EnvConfig(), table, episodes=250, redraws=30, seed=0)


def test_the_less_is_given_away_the_tighter_and_the_policy_stays_below(full: Walk) -> None:
    right = [_mean(full.bounds[given], "right") for given in GIVEN]
    assert 0.99 > right[0] > right[1] + 0.001 > right[2] + 0.003
    above = [
        _mean(full.bounds[given], "cost") - _mean(full.bounds[given], "true_cost")
        for given in GIVEN
    ]
    assert 0.0 < above[0] < above[1] < above[2]
    tightest = full.bounds[BOTH_KNOWN]
    assert _mean(tightest, "policy_right") < right[2] < _mean(tightest, "right_high")
    assert _mean(tightest, "cost_low") < _mean(tightest, "cost") < _mean(tightest, "policy_cost")


def test_redrawn_or_as_it_came_the_policy_is_right_equally_often(full: Walk) -> None:
    # Redraws are right if they have the law of what came, given what was known: then the policy
    # agrees with maui-true equally often. Differences of lanes are independent of one another.
    for given in GIVEN:
        redrawn = np.mean([bound.policy_right for bound in full.bounds[given]], axis=0)
        apart = redrawn - full.right.mean(axis=0)
        assert abs(apart.mean()) < 4.5 * apart.std() / np.sqrt(len(apart))
        assert apart.std() / np.sqrt(len(apart)) < 0.0015


def test_a_remote_run_tells_of_link_and_edge(table: WorkloadTable) -> None:
    # Probes minutes old, tasks within milliseconds: who offloads knows from the second task on.
    config = EnvConfig(
        profiles=("wifi_busy",),
        episode_tasks=4,
        link=replace(QUIET, estimate_age_s=300.0),
        workload=WorkloadConfig(load_low=1e4, load_high=1e4),
    )
    bounds = walk(FixedPolicy(Placement.EDGE), config, table, 400, 40, 3).bounds
    right = {given: np.array([bound.right for bound in bounds[given]]) for given in GIVEN}
    lost = (right[NOW] - right[BOTH_KNOWN]).mean(axis=1)
    assert lost[0] > 0.02
    np.testing.assert_allclose(lost[1:], 0.0, atol=0.002)


def test_tables_name_every_link_and_every_bound(full: Walk) -> None:
    config = EnvConfig()
    lines = list(tables(full, "maui-measured", config.profiles, seed=0))
    assert [line.split("|")[1].strip() for line in lines[2:6]] == [
        *(f"bound, given {given.words}" for given in GIVEN),
        "maui-measured",
    ]
    assert [line.split("|")[1].strip() for line in lines[9:]] == list(config.profiles)
    shown = float(lines[4].split("|")[2].split("[")[0])
    assert shown == pytest.approx(100 * _mean(full.bounds[BOTH_KNOWN], "right"), abs=0.006)


def test_what_has_no_bound_is_refused(table: WorkloadTable) -> None:
    with pytest.raises(ConfigError, match="maui-true sees the truth"):
        walk(MauiPolicy(Objective.MIXED, sees_truth=True), EnvConfig(), table, 2, 2, 0)
    with pytest.raises(ConfigError, match="not without battery"):
        walk(FixedPolicy(Placement.EDGE), EnvConfig(without=("battery",)), table, 2, 2, 0)
    with pytest.raises(ConfigError, match="cannot be drawn anew"):
        Redraw(Given(link=False, edge=False), KeptTraces(), KeptEdges(), EnvConfig(), 0)
    with pytest.raises(ConfigError, match="--redraws is 1"):
        irreducible.Options(redraws=1)
    with pytest.raises(ConfigError, match="names 2 policies"):
        irreducible.main(irreducible.Options(policy="ppo,dqn"))
