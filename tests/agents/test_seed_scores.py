"""Seeds scored together: the mean over seeds and scenarios, with the variance of both."""

from __future__ import annotations

import numpy as np
import pytest

from agents.comparison import Optimum
from agents.hindsight.search import Hindsight
from agents.rollout import Rollout
from agents.scores import bootstrap_counts
from agents.simulation import score_all

SEEDS = ("ppo-seed0", "ppo-seed1", "ppo-seed2", "ppo-seed3")


def _rollout(cost: np.ndarray) -> Rollout:
    """Two decisions a scenario, of that cost; the first agrees with maui-true."""
    rows = np.stack([cost, cost])
    zero = np.zeros_like(rows)
    placement = np.zeros(rows.shape, dtype=np.int8)
    optimum = placement.copy()
    optimum[1] = 1
    return Rollout(placement, optimum, rows, rows, rows + 1.0, rows, zero, zero, zero)


def _rollouts(effects: np.ndarray, scenarios: np.ndarray) -> dict[str, Rollout]:
    """Seeds whose cost is the sum of an effect of the seed and one of the scenario."""
    played = {"always-local": _rollout(scenarios + 3.0), "maui-measured": _rollout(scenarios + 1.0)}
    for name, effect in zip(SEEDS, effects, strict=True):
        played[name] = _rollout(scenarios + effect)
    return {**played, "maui-true": _rollout(scenarios)}


def test_seeds_stand_as_one_row_where_the_first_of_them_stood() -> None:
    scenarios = np.linspace(0.5, 0.9, 40)
    effects = np.array([0.1, 0.2, 0.3, 0.8])
    strata = np.repeat([0, 1], 20)
    found = score_all(_rollouts(effects, scenarios), strata, 0, ("a", "b"), seeds={"ppo": SEEDS})
    order = ["always-local", "maui-measured", "ppo", "maui-true"]
    assert list(found.scores) == list(found.comparisons) == list(found.links["b"]) == order
    assert found.scores["ppo"].cost.value == pytest.approx(scenarios.mean() + 0.35)
    assert found.scores["ppo"].regret_maui_true.value == pytest.approx(0.35)
    assert found.scores["ppo"].accuracy.as_list() == [0.5, 0.5, 0.5]
    assert found.links["b"]["ppo"].cost.value == pytest.approx(scenarios[20:].mean() + 0.35)
    assert found.links["b"]["ppo"].scenarios == 20
    assert found.comparisons["ppo"].improvement is not None
    assert found.comparisons["ppo"].improvement.value == 1.0
    assert list(found.seeds["ppo"]) == list(SEEDS)
    assert found.seeds["ppo"]["ppo-seed3"].cost.value == pytest.approx(scenarios.mean() + 0.8)
    assert set(SEEDS) < set(found.rollouts)


def test_the_interval_holds_the_variance_of_seeds_and_of_scenarios() -> None:
    """Of a sum of both effects the bootstrap's variance is var(seed)/S + var(scenario)/N."""
    rng = np.random.default_rng(5)
    scenarios = rng.normal(1.0, 0.2, 100)
    effects = np.array([0.00, 0.02, 0.05, 0.09])
    found = score_all(
        _rollouts(effects, scenarios), np.zeros(100, dtype=int), 0, seeds={"ppo": SEEDS}
    )
    cost = found.scores["ppo"].cost
    deviation = np.sqrt(effects.var() / 4 + scenarios.var() / 100)
    assert cost.high - cost.low == pytest.approx(2 * 1.96 * deviation, rel=0.15)
    alone = found.seeds["ppo"]["ppo-seed0"].cost
    assert alone.high - alone.low == pytest.approx(2 * 1.96 * 0.02, rel=0.25)
    regret = found.scores["ppo"].regret_maui_true  # no scenario changes it, the seeds do
    assert 0.0 <= regret.low < effects.mean() < regret.high <= 0.09
    assert found.seeds["ppo"]["ppo-seed0"].regret_maui_true.high == pytest.approx(0.0)


def test_seeds_are_set_against_the_optimum_in_hindsight() -> None:
    scenarios = np.linspace(0.5, 0.9, 30)
    strata = np.zeros(30, dtype=int)
    lanes = np.arange(10)
    lower = scenarios[lanes] - 0.1
    optimum = Optimum(
        lanes,
        bootstrap_counts(strata[lanes], np.random.default_rng(0)),
        Hindsight(np.zeros((2, 10), dtype=np.int8), lower + 0.01, lower),
    )
    found = score_all(
        _rollouts(np.array([0.0, 0.1, 0.2, 0.5]), scenarios),
        strata,
        0,
        optimum=optimum,
        seeds={"ppo": SEEDS},
    )
    together = found.comparisons["ppo"]
    assert together.regret_hindsight is not None
    assert together.gap_closed is not None
    assert together.regret_hindsight.value == pytest.approx(0.1 + 0.2)
    # From always-local, 3.1 above the bound, to 0.3 above it.
    assert together.gap_closed.value == pytest.approx(2.8 / 3.1)
    assert together.gap_closed.low < 2.8 / 3.1 < together.gap_closed.high
