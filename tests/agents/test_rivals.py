"""The rivals: what their numbers mean, what they learn, and how they come back from a file."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.bundle import BundlePolicy
from agents.maui_policy import MauiPolicy
from agents.policies import PRETRAINED
from agents.rivals.bandit import LinUcb, train_linucb
from agents.rivals.rules import (
    Correction,
    TimeThreshold,
    TunedMaui,
    rule_from_dict,
    rule_to_dict,
)
from agents.rivals.shipped import RIVAL_NAMES, load_rival, save_rule
from agents.rivals.tuning import mean_cost, tune_maui, tune_time_threshold
from agents.rollout import roll_out
from envs.config import EnvConfig
from envs.dynamics import OffloadDynamics
from envs.scenario import Scenario, draw_scenario
from envs.workload import WorkloadTable
from offload.cost_model import choice_costs
from offload.errors import BundleError
from offload.features import N_FEATURES
from offload.types import Objective, Transfer

LATENCY = EnvConfig(objective=Objective.LATENCY)


def test_a_time_threshold_compares_predicted_seconds(scenario: Scenario) -> None:
    context = OffloadDynamics(scenario, LATENCY).measured_context()
    costs = choice_costs(context, Objective.LATENCY)
    for factor, margin_s in ((1.0, 0.0), (2.0, 0.3)):
        expected = costs.edge.seconds * factor + margin_s <= costs.local.seconds
        decided = TimeThreshold(factor, margin_s).decide(context)
        np.testing.assert_array_equal(decided, expected)
        assert 0 < decided.sum() < len(decided)
    assert not TimeThreshold(1.0, math.inf).decide(context).any()


def test_an_estimate_fades_into_its_long_run_value(scenario: Scenario) -> None:
    context = OffloadDynamics(scenario, LATENCY).measured_context()
    link = replace(
        context.link,
        uplink_bps=np.full(50, 8e6),
        age_s=np.repeat([0.0, 10.0 * math.log(2.0)], 25),
    )
    edge = replace(context.edge, queue_s=np.full(50, 3.0), age_s=np.full(50, 4.0 * math.log(4.0)))
    correction = Correction(
        rate_memory_s=10.0, uplink_bps=2e6, queue_memory_s=4.0, queue_s=1.0, stretch=1.5
    )
    seen = correction.applied(replace(context, link=link, edge=edge))
    # Fresh: kept. After one half-life: the geometric mean of 8 and 2 Mbit/s.
    np.testing.assert_allclose(seen.link.uplink_bps, np.repeat([8e6, 4e6], 25))
    # After two half-lives a quarter of the way from 1 s to 3 s is left.
    np.testing.assert_allclose(seen.edge.queue_s, 1.5)
    plain = replace(correction, stretch=1.0).applied(replace(context, link=link, edge=edge))
    np.testing.assert_allclose(seen.moved.upload_s, 1.5 * plain.moved.upload_s)


def test_no_correction_is_maui_measured(scenario: Scenario) -> None:
    for objective in Objective:
        config = EnvConfig(objective=objective)
        plain = roll_out(MauiPolicy(objective, sees_truth=False), scenario, config)
        tuned = roll_out(TunedMaui(objective, Correction()), scenario, config)
        np.testing.assert_array_equal(tuned.placement, plain.placement)


def test_tuning_finds_what_was_wrong_with_the_estimates(scenario: Scenario) -> None:
    # Estimates are the truth but for transfers, which really take three times the prediction.
    fresh = replace(scenario.links.true, age_s=np.zeros_like(scenario.reference_queue_s))
    slow = Transfer(
        3.0 * scenario.predicted_moved.upload_s, 3.0 * scenario.predicted_moved.download_s
    )
    world = replace(
        scenario,
        links=replace(scenario.links, measured=replace(scenario.links.measured, age_s=fresh.age_s)),
        edge=replace(scenario.edge, probed_queue_s=scenario.edge.queue_s),
        work=replace(scenario.work, predicted=scenario.work.true),
        true_moved=slow,
    )
    found = tune_maui(np.random.default_rng(0), world, LATENCY, 60)
    assert found.correction.stretch == pytest.approx(3.0, rel=0.4)
    uncorrected = mean_cost(MauiPolicy(Objective.LATENCY, sees_truth=False), world, LATENCY)
    optimum = mean_cost(MauiPolicy(Objective.LATENCY, sees_truth=True), world, LATENCY)
    left = mean_cost(found, world, LATENCY) - optimum
    assert left < 0.25 * (uncorrected - optimum)

    # The time threshold can say the same with its factor, but not that both sides have a cost.
    rule = tune_time_threshold(world, LATENCY, 50)
    assert 1.0 < rule.factor < 3.5
    assert mean_cost(rule, world, LATENCY) < 0.9


@pytest.mark.parametrize(
    "rule",
    [
        TimeThreshold(1.5, math.inf),
        TimeThreshold(0.25, 2.0),
        TunedMaui(Objective.ENERGY, Correction()),
        TunedMaui(Objective.ENERGY, Correction(3.0, 1e6, 2e6, 4.0, 0.0, 1.2)),
    ],
)
def test_a_rule_comes_back_from_its_file(rule: Any, tmp_path: Path) -> None:
    save_rule(rule, Objective.ENERGY, {"steps": 7}, tmp_path)
    json.loads((tmp_path / "policy.json").read_text(), parse_constant=pytest.fail)
    assert load_rival(rule.name, Objective.ENERGY, tmp_path) == (rule, {"steps": 7})
    with pytest.raises(BundleError, match="it must be"):
        load_rival(rule.name, Objective.MIXED, tmp_path)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("threshold-time", {"factor": 1.0}),
        ("threshold-time", {"factor": 1.0, "margin_s": 0.0, "seconds": 1.0}),
        ("threshold-time", {"factor": "fast", "margin_s": 0.0}),
        ("threshold-time", [1.0, 0.0]),
        ("maui-tuned", {"stretch": 0.0}),
        ("maui-tuned", {"strech": 1.0}),
        ("maui-tuned", {"queue_s": math.nan}),
    ],
)
def test_bad_numbers_are_refused(name: str, data: Any) -> None:
    with pytest.raises(BundleError):
        rule_from_dict(name, Objective.MIXED, data)
    assert rule_to_dict(TimeThreshold(math.inf, 0.0)) == {"factor": None, "margin_s": 0.0}


def test_the_bandit_is_two_ridge_regressions() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((400, N_FEATURES))
    placement = rng.integers(2, size=400)
    slopes = rng.standard_normal((2, N_FEATURES))
    cost = 5.0 + np.einsum("ni,ni->n", x, slopes[placement]) + 0.01 * rng.standard_normal(400)
    bandit = LinUcb(alpha=1.0)
    for part in np.array_split(np.arange(400), 7):
        bandit.learn(x[part], placement[part], cost[part])
    for arm in (0, 1):
        own = np.column_stack([x, np.ones(400)])[placement == arm]
        # Ridge as least squares with one more row for each weight.
        rows = np.vstack([own, np.eye(N_FEATURES + 1)])
        wanted = np.concatenate([cost[placement == arm], np.zeros(N_FEATURES + 1)])
        np.testing.assert_allclose(bandit.weights[arm], np.linalg.lstsq(rows, wanted)[0], rtol=1e-8)
    # Frozen, it takes the least predicted cost; learning, it favours what it knows less of.
    frozen = BundlePolicy(bandit.bundle(LATENCY, 400)).act_batch(x.astype(np.float32))
    predicted = np.column_stack([x, np.ones(400)]) @ bandit.weights.T
    clear = abs(predicted[:, 1] - predicted[:, 0]) > 1e-4
    np.testing.assert_array_equal(frozen[clear], (predicted[:, 1] < predicted[:, 0])[clear])

    one_sided = LinUcb(alpha=10.0)
    one_sided.learn(x, np.zeros(400, dtype=int), np.zeros(400))
    assert one_sided.choose(x).all()


def test_the_bandit_learns_which_task_belongs_where(sharp_world: EnvConfig) -> None:
    from offload.tasks.profile_table import load_profile_table

    table = WorkloadTable.of(load_profile_table(), sharp_world.workload)
    unseen = draw_scenario(np.random.default_rng(5), sharp_world, table, 200)
    bundle = train_linucb(np.random.default_rng(4), sharp_world, table, unseen, 32_768)
    played = roll_out(BundlePolicy(bundle), unseen, sharp_world)
    assert (played.placement == played.optimum).mean() > 0.95
    assert 0.1 < played.placement.mean() < 0.9
    assert bundle.provenance["steps"] == 16_384


@pytest.mark.parametrize("name", RIVAL_NAMES)
@pytest.mark.parametrize("objective", list(Objective))
def test_each_shipped_rival_decides_for_one_and_for_many(
    name: str, objective: Objective, scenario: Scenario
) -> None:
    policy, provenance = load_rival(name, objective, PRETRAINED / f"{name}-{objective}")
    assert (policy.name, policy.sees_truth) == (name, False)
    assert provenance["steps"] >= 400_000
    config = EnvConfig(objective=objective)
    played = roll_out(policy, scenario, config)
    # None is worse than never offloading, but by chance in these fifty episodes.
    assert played.cost.mean() < 1.02
    context = OffloadDynamics(scenario.lane(3), config).measured_context()
    assert policy.decide(context).shape == (1,)
