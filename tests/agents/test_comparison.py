"""Regret to hindsight, gap closed and chance of improvement, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from agents.comparison import Optimum, compare, find_optimum
from agents.fixed import FixedPolicy
from agents.hindsight.search import Hindsight, solve
from agents.maui_policy import MauiPolicy
from agents.rollout import Rollout, roll_out
from agents.scores import bootstrap_counts
from agents.simulation import score_all, simulate
from envs.config import EnvConfig
from envs.scenario import Scenario
from offload.tasks.profile_table import load_profile_table
from offload.types import Objective, Placement


def _costing(*costs: float) -> Rollout:
    """One step of as many scenarios, at those costs."""
    cost = np.array([costs])
    zeros = np.zeros_like(cost)
    return Rollout(
        placement=zeros.astype(int),
        optimum=zeros.astype(int),
        cost=cost,
        local_cost=np.ones_like(cost),
        edge_cost=cost,
        seconds=zeros,
        energy_j=zeros,
        missed=zeros,
        fell_back=zeros,
    )


def _optimum(lanes: list[int], lower: list[float]) -> Optimum:
    counts = bootstrap_counts(np.zeros(len(lanes), dtype=int), np.random.default_rng(0))
    bound = np.array(lower)
    return Optimum(np.array(lanes), counts, Hindsight(np.zeros((1, len(lanes))), bound, bound))


COUNTS = bootstrap_counts(np.zeros(4, dtype=int), np.random.default_rng(1))


def test_every_figure_by_hand() -> None:
    rollouts = {
        "always-local": _costing(1.0, 1.0, 1.0, 1.0),
        "threshold-rtt": _costing(0.9, 5.0, 0.9, 0.6),
        "maui-measured": _costing(0.8, 0.7, 0.9, 0.5),
        "ppo": _costing(0.7, 0.7, 1.0, 0.4),
    }
    found = compare(rollouts, COUNTS, _optimum([0, 2, 3], [0.6, 0.9, 0.3]))
    # ppo: a win, a tie, a loss, a win.
    assert found["ppo"].improvement.value == pytest.approx(2.5 / 4)
    assert found["maui-measured"].improvement is None
    # Scenario 1 was not searched. ppo 0.7, 1.0, 0.4 against 0.6, 0.9, 0.3.
    assert found["ppo"].regret_hindsight.value == pytest.approx(0.1)
    # On these three the threshold costs 0.8, always-local 1; the bound 0.6, ppo 0.7.
    assert found["ppo"].gap_closed.value == pytest.approx(0.5)
    assert found["maui-measured"].gap_closed.value == pytest.approx((0.8 - 2.2 / 3) / 0.2)
    assert found["threshold-rtt"].gap_closed.value == pytest.approx(0.0)
    interval = found["ppo"].gap_closed
    assert interval.low < interval.value < interval.high


def test_without_hindsight_static_rules_or_maui_measured_there_is_nothing_to_compare() -> None:
    alone = compare({"ppo": _costing(0.7, 0.7, 1.0, 0.4)}, COUNTS, None)["ppo"]
    assert alone.as_dict() == {"improvement": None, "regret_hindsight": None, "gap_closed": None}
    no_static = compare({"ppo": _costing(0.7, 0.7, 1.0, 0.4)}, COUNTS, _optimum([0], [0.5]))["ppo"]
    assert no_static.regret_hindsight.value == pytest.approx(0.2)
    assert no_static.gap_closed is None


def test_no_gap_is_not_divided_by() -> None:
    rollouts = {"always-local": _costing(1.0, 1.0, 1.0, 1.0)}
    found = compare(rollouts, COUNTS, _optimum([0, 1], [1.0, 1.0]))
    assert found["always-local"].gap_closed is None


def test_each_link_gives_its_first_scenarios(scenario: Scenario) -> None:
    config = EnvConfig()
    truth = roll_out(MauiPolicy(Objective.MIXED, sees_truth=True), scenario, config)
    strata = np.array([0, 1, 1, 1, 0, 2] + [3] * (scenario.lanes - 6))
    optimum = find_optimum(scenario, config, truth, strata, 2, np.random.default_rng(0))
    assert optimum is not None
    assert optimum.lanes.tolist() == [0, 1, 2, 4, 5, 6, 7]
    alone = solve(scenario.take(np.array([4])), config, truth.placement[:, [4]])
    assert optimum.lower[3] == pytest.approx(alone.lower[0])
    assert find_optimum(scenario, config, truth, strata, 0, np.random.default_rng(0)) is None


def test_an_evaluation_says_how_far_each_policy_is_from_the_optimum() -> None:
    config = EnvConfig(profiles=("lte", "wifi"))
    policies = [
        FixedPolicy(Placement.LOCAL),
        MauiPolicy(Objective.MIXED, sees_truth=False),
        MauiPolicy(Objective.MIXED, sees_truth=True),
    ]
    evaluation, _, _ = simulate(policies, config, load_profile_table(), 3200, 1, hindsight=10)
    assert evaluation.optimum is not None
    assert len(evaluation.optimum.lanes) == 20
    regrets = [evaluation.comparisons[p.name].regret_hindsight.value for p in policies]
    assert regrets == sorted(regrets, reverse=True)
    assert regrets[2] > 0.0
    assert evaluation.comparisons["always-local"].gap_closed.value == 0.0
    assert 0.5 < evaluation.comparisons["maui-true"].gap_closed.value < 1.0
    facts = evaluation.optimum.as_dict()
    assert facts["bound"][0] <= facts["cost"][0] < 1.0
    # In a live run nothing is searched for.
    plain = score_all(evaluation.rollouts, np.zeros(50, dtype=int), 0)
    assert plain.optimum is None
    assert plain.comparisons["maui-true"].regret_hindsight is None
