"""The optimum in hindsight against every plan there is, an integer program, and the environment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, milp

from agents.fixed import RandomPolicy
from agents.hindsight import labels as labels_module
from agents.hindsight.future import costs_to_go
from agents.hindsight.labels import children, start
from agents.hindsight.problem import pose
from agents.hindsight.search import play, solve
from agents.maui_policy import MauiPolicy
from agents.rollout import roll_out
from envs.config import EnvConfig, WorkloadConfig
from envs.dynamics import OffloadDynamics
from envs.scenario import Scenario, draw_scenario
from envs.workload import WorkloadTable
from offload.errors import SolverError
from offload.tasks.profile_table import load_profile_table
from offload.types import Objective


def _draw(config: EnvConfig, lanes: int, seed: int) -> Scenario:
    table = WorkloadTable.of(load_profile_table(), config.workload)
    return draw_scenario(np.random.default_rng(seed), config, table, lanes)


def _every_plan_played(scenario: Scenario, config: EnvConfig) -> np.ndarray:
    """Cost of all plans of all lanes in the environment itself, shape (lanes, plans)."""
    plans = 2**scenario.steps
    dynamics = OffloadDynamics(scenario.take(np.repeat(np.arange(scenario.lanes), plans)), config)
    code = np.tile(np.arange(plans), scenario.lanes)
    cost = np.zeros(len(code))
    for step in range(scenario.steps):
        cost += dynamics.step((code >> step) & 1).cost
    return cost.reshape(scenario.lanes, plans)


def _busy(objective: Objective, steps: int) -> EnvConfig:
    """Loads above capacity and tight deadlines: queues, long radio tails and runs given up."""
    return EnvConfig(
        objective=objective,
        episode_tasks=steps,
        low_battery_share=0.5,
        workload=WorkloadConfig(
            max_local_s=10.0,
            load_low=0.5,
            load_high=4.0,
            deadline_slack_low=1.0,
            deadline_slack_high=2.5,
        ),
    )


def _known(scenario: Scenario, config: EnvConfig) -> np.ndarray:
    return roll_out(MauiPolicy(config.objective, sees_truth=True), scenario, config).placement


@pytest.mark.parametrize("objective", list(Objective))
@pytest.mark.parametrize("world", [EnvConfig, _busy])
def test_no_plan_of_all_beats_the_bound_and_the_best_is_found(objective, world) -> None:
    config = (
        _busy(objective, 10) if world is _busy else EnvConfig(objective=objective, episode_tasks=10)
    )
    scenario = _draw(config, 24, 5)
    best = _every_plan_played(scenario, config).min(axis=1) / 10
    found = solve(scenario, config, _known(scenario, config), labels=(4096,))
    # 1,024 plans fit into 4,096 labels, so nothing but equal states was merged.
    np.testing.assert_allclose(found.upper, best, rtol=1e-9)
    np.testing.assert_allclose(found.lower, best, rtol=1e-9)
    assert found.solved == 1.0
    np.testing.assert_allclose(play(found.placement, scenario, config) / 10, found.upper)


@pytest.mark.parametrize("objective", list(Objective))
@pytest.mark.parametrize("most", [1, 3])
def test_with_few_labels_the_optimum_still_lies_between_the_bounds(objective, most) -> None:
    config = _busy(objective, 10)
    scenario = _draw(config, 60, 11 + most)
    best = _every_plan_played(scenario, config).min(axis=1) / 10
    worst_known = roll_out(RandomPolicy(1), scenario, config).placement
    found = solve(scenario, config, worst_known, labels=(most,))
    assert (found.lower <= best + 1e-9).all()
    assert (found.upper >= best - 1e-9).all()
    # So few do lose something, and yet not everything.
    assert found.solved < 1.0
    played = play(worst_known, scenario, config) / 10
    assert (played - found.upper).mean() > 2 * found.gap.mean()


@pytest.mark.parametrize("objective", list(Objective))
def test_the_cost_to_go_is_a_bound_from_every_state_on_the_way(objective) -> None:
    config = _busy(objective, 9)
    scenario = _draw(config, 30, 3)
    problem = pose(scenario, config)
    to_go = costs_to_go(problem)
    halfway = start(problem, points=True)
    for step in range(4):
        halfway = children(problem, halfway, step)
    labels, origin = halfway, np.arange(len(halfway.lane))
    for step in range(4, 9):
        labels = children(problem, labels, step)
        origin = origin[labels.parent]
    rest = labels.cost - halfway.cost[origin]
    least = np.full(len(halfway.lane), np.inf)
    np.minimum.at(least, origin, rest)
    bound = to_go[4, halfway.lane, halfway.tail_rank]
    assert (bound <= least + 1e-9).all()
    # It is of use: most of what the rest costs is in it.
    assert (bound / least).mean() > 0.8


@pytest.mark.parametrize("off", ["local_queue", "radio_tail", "battery", "deadlines"])
def test_what_is_switched_off_does_not_couple_in_hindsight_either(off) -> None:
    for objective in Objective:
        config = replace(_busy(objective, 8), without=(off,))
        scenario = _draw(config, 30, 4)
        best = _every_plan_played(scenario, config).min(axis=1) / 8
        found = solve(scenario, config, _known(scenario, config), labels=(1024,))
        np.testing.assert_allclose(found.lower, best, rtol=1e-9)
        few = solve(scenario, config, _known(scenario, config), labels=(1,))
        assert (few.lower <= best + 1e-9).all()


def test_where_only_the_queue_couples_it_agrees_with_an_integer_program() -> None:
    # Latency, far deadlines and no cap: 24 steps, so 16 million plans.
    steps = 24
    config = EnvConfig(
        objective=Objective.LATENCY,
        episode_tasks=steps,
        cost_cap=1e9,
        workload=WorkloadConfig(
            load_low=0.8, load_high=3.0, deadline_slack_low=1e6, deadline_slack_high=1e6
        ),
    )
    scenario = _draw(config, 12, 9)
    found = solve(scenario, config, _known(scenario, config), labels=(64, 4096))
    assert found.solved == 1.0
    problem = pose(scenario, config)
    for lane in range(scenario.lanes):
        assert found.upper[lane] == pytest.approx(_by_program(problem, lane) / steps, rel=1e-6)
    # The queue does couple: looking one step ahead costs more.
    myopic = play(_known(scenario, config), scenario, config) / steps
    assert (myopic - found.upper).max() > 0.01


def _by_program(problem: Any, lane: int) -> float:
    """Least total latency cost by HiGHS.

    Variables: for each task whether it goes to the edge, its local seconds if it stays (0 if not),
    and the queue it finds.
    """
    local, edge, reference, at = (
        np.array([getattr(step, name)[lane] for step in problem.steps])
        for name in ("local_s", "edge_s", "reference_s", "at_s")
    )
    n = len(local)
    most = local.sum()
    cost = np.concatenate([edge / reference, 1.0 / reference, np.zeros(n)])
    identity, zero = np.eye(n), np.zeros((n, n))
    # stays >= queue + local - most * edge
    stays = LinearConstraint(np.hstack([2 * most * identity, identity, -identity]), lb=local)
    # next queue >= queue + local * (1 - edge) - gap
    shift = np.eye(n, k=1)[:-1] - identity[:-1]
    drains = LinearConstraint(
        np.hstack([np.diag(local)[:-1], zero[:-1], shift]), lb=local[:-1] - np.diff(at)
    )
    whole = np.concatenate([np.ones(n), np.zeros(2 * n)])
    upper = np.concatenate([np.ones(n), np.full(2 * n, np.inf)])
    solved = milp(
        cost, integrality=whole, bounds=(0, upper), constraints=[stays, drains],
        options={"mip_rel_gap": 1e-9},
    )  # fmt: skip
    assert solved.success
    return float(solved.fun)


@pytest.mark.parametrize("objective", list(Objective))
def test_long_episodes_are_mostly_solved_and_no_policy_beats_the_bound(objective) -> None:
    config = EnvConfig(objective=objective)
    scenario = _draw(config, 110, 21)
    found = solve(scenario, config, _known(scenario, config))
    assert found.solved > 0.8
    assert found.gap.mean() < 0.005
    for policy in (
        MauiPolicy(objective, sees_truth=True),
        MauiPolicy(objective, sees_truth=False),
        RandomPolicy(2),
    ):
        cost = roll_out(policy, scenario, config).cost.mean(axis=0)
        assert (cost >= found.lower - 1e-9).all()
        assert (cost - found.upper).mean() > 0.005


def test_costs_that_are_not_the_environments_are_refused(monkeypatch) -> None:
    config = EnvConfig(objective=Objective.ENERGY, episode_tasks=12)
    scenario = _draw(config, 20, 2)
    # As if the search knew of no radio tail.
    monkeypatch.setattr(labels_module, "tail_energy_j", lambda radio, left_s: 0.0 * left_s)
    with pytest.raises(SolverError, match=r"follow envs/dynamics\.py"):
        solve(scenario, config, _known(scenario, config))
