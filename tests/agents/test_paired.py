"""Scores of paired runs against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from agents.fixed import FixedPolicy
from agents.maui_policy import MauiPolicy
from agents.paired import scenario_of, score_pairs
from envs.config import EnvConfig
from offload.types import (
    EdgeState,
    LinkState,
    Objective,
    PairedRun,
    Placement,
    PlacementCost,
    TaskInstance,
    TaskProfile,
)

LINK = LinkState(0.1, 0.01, 0.0, 1e6, 4e6, 0.5)


def local(seconds: float) -> PlacementCost:
    return PlacementCost(0.0, 0.0, seconds, 0.0, 0.0, 0.0)


def run(local_s: float, edge: tuple[float, float, float, float] | None, budget_s: float):
    """A run of 1,000 bytes each way; ``edge`` is upload, queue, compute, download."""
    return PairedRun(
        task=TaskInstance("sudoku", "small", 1),
        link=LINK,
        edge_seen=EdgeState(0.0, 0.5),
        predicted=TaskProfile(1.0, 0.25, 1000.0, 1000.0, deadline_s=1.0 + budget_s),
        budget_s=budget_s,
        local=local(local_s),
        edge=None if edge is None else PlacementCost(*edge, 0.0, 0.0),
        correct=True,
    )


RUNS = [
    run(1.2, (0.2, 0.05, 0.3, 0.05), 2.0),  # the edge is faster: 0.6 s
    run(0.5, (0.9, 0.0, 0.2, 0.1), 2.0),  # the device is faster: 1.2 s at the edge
    run(0.8, None, 1.5),  # the edge was given up after 1.5 s
]
POLICIES = (
    FixedPolicy(Placement.LOCAL),
    FixedPolicy(Placement.EDGE),
    MauiPolicy(Objective.LATENCY, sees_truth=True),
)


@pytest.fixture
def evaluation():
    config = EnvConfig(objective=Objective.LATENCY)
    rng = np.random.default_rng(0)
    return score_pairs(POLICIES, RUNS, radio="lte", config=config, rng=rng, seed=0)


def test_the_seconds_are_the_measured_ones(evaluation):
    played = evaluation.rollouts
    assert played["always-local"].seconds[0].tolist() == pytest.approx([1.2, 0.5, 0.8])
    assert played["always-edge"].seconds[0].tolist() == pytest.approx([0.6, 1.2, 1.5 + 0.8])
    assert played["maui-true"].seconds[0].tolist() == pytest.approx([0.6, 0.5, 0.8])


def test_costs_and_accuracy_by_hand(evaluation):
    scores = evaluation.scores
    assert evaluation.decisions == 3
    assert scores["always-local"].cost.value == pytest.approx(1.0)
    assert scores["always-edge"].cost.value == pytest.approx((0.5 + 2.4 + 2.3 / 0.8) / 3)
    assert scores["always-local"].accuracy.value == pytest.approx(2 / 3)
    assert scores["always-edge"].accuracy.value == pytest.approx(1 / 3)
    assert scores["maui-true"].regret_maui_true.value == 0.0
    assert scores["always-edge"].fallbacks == pytest.approx(1 / 3)
    # Deadlines are 3.0, 3.0 and 2.5 s, and the fallback ends at 2.3 s.
    assert scores["always-edge"].deadline_misses == 0.0


def test_nothing_queues_and_the_radio_tail_is_shared():
    scenario = scenario_of(RUNS, "lte", "cubic", np.random.default_rng(1))
    done = np.array([1.2, 1.2, 1.5 + 0.8])
    assert (scenario.work.gap_s[1:, 0] > done[:2]).all()
    config = EnvConfig(objective=Objective.ENERGY)
    rng = np.random.default_rng(1)
    edge = score_pairs(POLICIES, RUNS, radio="lte", config=config, rng=rng, seed=0).rollouts[
        "always-edge"
    ]
    # Huang et al. 2012: 1.288 W base, 0.43839 and 0.05197 uJ a bit, 11.576 s of 1.060 W after it,
    # 0.260 s of 1.210 W to wake up; the waiting device draws 0.2 W.
    bits = 8000 * (0.43839e-6 + 0.05197e-6)
    first = bits + 1.28804 * 0.25 + 1.060 * 11.576 + 1.210 * 0.260 + 0.2 * 0.35
    assert edge.energy_j[0, 0] == pytest.approx(first, rel=1e-6)
    # The second starts within that tail: no waking, and only what it prolongs the tail by.
    prolonged_s = float(scenario.work.gap_s[1, 0]) - 0.6
    second = bits + 1.28804 * 1.0 + 1.060 * prolonged_s + 0.2 * 0.2
    assert edge.energy_j[0, 1] == pytest.approx(second, rel=1e-6)
