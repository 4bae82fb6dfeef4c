"""Fixed rules, thresholds and MAUI as policies."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agents.fixed import FixedPolicy, RandomPolicy
from agents.maui_policy import MauiPolicy
from agents.rollout import roll_out
from agents.thresholds import ThresholdPolicy, threshold_from_dict, tune_thresholds
from envs.config import EnvConfig
from envs.dynamics import OffloadDynamics
from envs.scenario import Scenario
from offload.errors import ConfigError
from offload.interfaces import Policy
from offload.types import Objective, Placement, Transfer

LATENCY = EnvConfig(objective=Objective.LATENCY, cost_cap=10.0)


@pytest.mark.parametrize("placement", list(Placement))
def test_fixed_policies_do_not_look(scenario: Scenario, placement: Placement) -> None:
    played = roll_out(FixedPolicy(placement), scenario, EnvConfig())
    np.testing.assert_array_equal(played.placement, int(placement))
    if placement is Placement.LOCAL:
        np.testing.assert_allclose(played.cost, 1.0, rtol=1e-12)


def test_the_coin_is_fair_and_repeats(scenario: Scenario) -> None:
    first = roll_out(RandomPolicy(1), scenario, EnvConfig()).placement
    np.testing.assert_array_equal(first, roll_out(RandomPolicy(1), scenario, EnvConfig()).placement)
    assert first.mean() == pytest.approx(0.5, abs=2.5 / math.sqrt(first.size))
    assert np.any(first != roll_out(RandomPolicy(2), scenario, EnvConfig()).placement)


@pytest.mark.parametrize(
    "policy",
    [
        FixedPolicy(Placement.EDGE),
        RandomPolicy(0),
        ThresholdPolicy("threshold-rtt", 0.1, 0.0),
        MauiPolicy(Objective.MIXED, sees_truth=True),
    ],
    ids=lambda policy: policy.name,
)
def test_every_policy_answers_for_one_and_for_many(policy: Any, scenario: Scenario) -> None:
    assert isinstance(policy, Policy)
    many = policy.decide(OffloadDynamics(scenario, EnvConfig()).measured_context())
    assert many.shape == (scenario.lanes,)
    one = policy.decide(OffloadDynamics(scenario.lane(0), EnvConfig()).measured_context())
    assert one.shape == (1,)
    assert set(np.unique(many)) <= {0, 1}


def test_a_threshold_includes_its_bounds() -> None:
    rule = ThresholdPolicy("threshold-both", 0.1, 1e6)

    def decide(rtt_s: float, uplink_bps: float) -> int:
        class Link:
            pass

        context, link = Link(), Link()
        link.rtt_s, link.uplink_bps = rtt_s, uplink_bps  # type: ignore[attr-defined]
        context.link = link  # type: ignore[attr-defined]
        return int(rule.decide(context))  # type: ignore[arg-type]

    assert [decide(0.1, 1e6), decide(0.1001, 1e6), decide(0.1, 0.999e6)] == [1, 0, 0]


def _two_way_world(scenario: Scenario) -> Scenario:
    """The edge is fast where the RTT is 20 ms and the uplink 4 Mbit/s, and hopeless elsewhere."""
    rng = np.random.default_rng(0)
    shape = scenario.reference_queue_s.shape
    near, wide = rng.random(shape) < 0.5, rng.random(shape) < 0.6
    link = replace(
        scenario.links.measured,
        rtt_s=np.where(near, 0.02, 0.3),
        uplink_bps=np.where(wide, 4e6, 2e5),
    )
    moved_s = np.where(near & wide, 1e-6, 1e3)
    quiet = np.zeros(shape)
    return replace(
        scenario,
        links=replace(scenario.links, measured=link),
        edge=replace(scenario.edge, queue_s=quiet, probed_queue_s=quiet),
        true_moved=Transfer(moved_s, moved_s),
    )


def test_tuning_finds_the_rule_that_made_the_world(scenario: Scenario) -> None:
    world = _two_way_world(scenario)
    rtt, bandwidth, both = tune_thresholds(world, LATENCY, grid=9)
    assert (rtt.name, bandwidth.name, both.name) == (
        "threshold-rtt",
        "threshold-bandwidth",
        "threshold-both",
    )
    assert 0.02 <= both.max_rtt_s < 0.3
    assert 2e5 < both.min_uplink_bps <= 4e6
    played = roll_out(both, world, LATENCY)
    np.testing.assert_array_equal(played.placement, played.optimum)

    # Each one-sided rule is the best of the few that its two-valued link allows.
    for found, options in (
        (rtt, [ThresholdPolicy("x", value, 0.0) for value in (0.0, 0.02, math.inf)]),
        (bandwidth, [ThresholdPolicy("x", math.inf, value) for value in (0.0, 4e6, 1e12)]),
    ):
        best = min(float(roll_out(rule, world, LATENCY).cost.mean()) for rule in options)
        assert roll_out(found, world, LATENCY).cost.mean() == pytest.approx(best)


@pytest.mark.parametrize("max_rtt_s", [0.05, math.inf])
def test_a_rule_comes_back_from_json(max_rtt_s: float) -> None:
    rule = ThresholdPolicy("threshold-both", max_rtt_s, 2e6)
    text = json.dumps(rule.to_dict(), allow_nan=False)
    assert threshold_from_dict(json.loads(text)) == rule


@pytest.mark.parametrize("data", [{}, {"name": "x", "max_rtt_s": "far", "min_uplink_bps": 1}])
def test_a_bad_rule_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="bad threshold rule"):
        threshold_from_dict(data)


def _known(scenario: Scenario) -> Scenario:
    """The same scenario, but the device's estimates are the truth."""
    fresh = replace(scenario.links.true, age_s=np.zeros_like(scenario.reference_queue_s))
    return replace(
        scenario,
        links=replace(scenario.links, measured=fresh),
        edge=replace(scenario.edge, probed_queue_s=scenario.edge.queue_s),
        work=replace(scenario.work, predicted=scenario.work.true),
        predicted_moved=scenario.true_moved,
    )


@pytest.mark.parametrize("objective", list(Objective))
def test_maui_needs_no_truth_where_the_estimates_are_true(
    scenario: Scenario, objective: Objective
) -> None:
    config = EnvConfig(objective=objective)
    measured = MauiPolicy(objective, sees_truth=False)
    truth = MauiPolicy(objective, sees_truth=True)
    known = _known(scenario)
    by_estimate, by_truth = roll_out(measured, known, config), roll_out(truth, known, config)
    np.testing.assert_array_equal(by_estimate.placement, by_truth.placement)
    np.testing.assert_array_equal(by_truth.placement, by_truth.optimum)
    assert 0.02 < by_truth.placement.mean() < 0.98
    # Of each decision alone it is the best there is; late runs at the edge are never chosen.
    assert by_truth.regret.max() <= 1e-12
    assert by_truth.fell_back.sum() == 0

    # Where they are not, it errs.
    erring = roll_out(measured, scenario, config)
    assert 0.8 < (erring.placement == erring.optimum).mean() < 1.0
    assert erring.regret.mean() > 0.0
