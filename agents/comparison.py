"""How far policies are from the optimum in hindsight, and how often one beats another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.hindsight.search import Hindsight, solve
from agents.rollout import Rollout
from agents.scores import Interval, bootstrap_counts, mean_interval
from envs.config import EnvConfig
from envs.scenario import Scenario
from offload.types import FloatArray, IntArray

STATIC_NAMES = (
    "always-local",
    "always-edge",
    "threshold-rtt",
    "threshold-bandwidth",
    "threshold-both",
)
"""Rules that look at the link at most; the cheapest of them is where the gap begins."""
MEASURED = "maui-measured"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One policy against others; None where there is nothing to compare with.

    Attributes:
        improvement: chance that it costs less than maui-measured on a scenario; equal costs count
            a half.
        regret_hindsight: mean cost above the bound that no plan can beat.
        gap_closed: share of the way from the cheapest static rule to that bound.
    """

    improvement: Interval | None = None
    regret_hindsight: Interval | None = None
    gap_closed: Interval | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON; intervals as [value, low, high]."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {n: None if v is None else v.as_list() for n, v in values.items()}


@dataclass(frozen=True, slots=True)
class Optimum:
    """The optimum in hindsight of some of an evaluation's scenarios.

    Attributes:
        lanes: which scenarios, shape (n,).
        counts: resamples of them, from :func:`bootstrap_counts`.
        found: their plans and bounds.
    """

    lanes: IntArray
    counts: FloatArray
    found: Hindsight

    @property
    def lower(self) -> FloatArray:
        """What no plan can beat, shape (n,)."""
        return self.found.lower

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "scenarios": len(self.lanes),
            "cost": mean_interval(self.found.upper, self.counts).as_list(),
            "bound": mean_interval(self.found.lower, self.counts).as_list(),
            "gap_mean": float(self.found.gap.mean()),
            "gap_max": float(self.found.gap.max()),
            "proven_optimal": self.found.solved,
        }

    def __str__(self) -> str:
        cost, gap = self.found.upper.mean(), self.found.gap.mean()
        return (
            f"hindsight: cost {cost:.4f} on {len(self.lanes):,} scenarios, at most {gap:.4f} above "
            f"the optimum; {self.found.solved:.1%} of its plans are proven optimal"
        )


def find_optimum(
    scenario: Scenario,
    config: EnvConfig,
    known: Rollout,
    strata: IntArray,
    most: int,
    rng: np.random.Generator,
) -> Optimum | None:
    """The optimum in hindsight of the first so many scenarios of each stratum.

    Args:
        known: what maui-true did: the plans the search starts from.
        strata: the stratum (link) of each scenario.
        most: scenarios of each stratum; 0: none, and the answer is None.
        rng: draws the resamples.
    """
    if most == 0:
        return None
    lanes = np.sort(
        np.concatenate([np.flatnonzero(strata == each)[:most] for each in np.unique(strata)])
    )
    found = solve(scenario.take(lanes), config, known.placement[:, lanes])
    return Optimum(lanes, bootstrap_counts(strata[lanes], rng), found)


def compare(
    rollouts: Mapping[str, Rollout], counts: FloatArray, optimum: Optimum | None
) -> dict[str, Comparison]:
    """Compare every policy.

    Args:
        counts: resamples of all scenarios.
    """
    costs = {name: played.cost.mean(axis=0) for name, played in rollouts.items()}
    measured = costs.get(MEASURED)
    static = None if optimum is None else _cheapest_static(costs, optimum)
    found = {}
    for name, cost in costs.items():
        improvement = None
        if measured is not None and name != MEASURED:
            wins = (cost < measured) + 0.5 * (cost == measured)
            improvement = mean_interval(wins, counts)
        regret = closed = None
        if optimum is not None:
            own = cost[optimum.lanes]
            regret = mean_interval(own - optimum.lower, optimum.counts)
            closed = None if static is None else _gap_closed(own, static, optimum)
        found[name] = Comparison(improvement, regret, closed)
    return found


def _cheapest_static(costs: Mapping[str, FloatArray], optimum: Optimum) -> FloatArray | None:
    rules = [costs[name][optimum.lanes] for name in STATIC_NAMES if name in costs]
    return min(rules, key=lambda cost: float(cost.mean())) if rules else None


def _gap_closed(own: FloatArray, static: FloatArray, optimum: Optimum) -> Interval | None:
    """A ratio of means; the resamples of both go together."""
    gap = static - optimum.lower
    if gap.mean() <= 0.0:
        return None
    closed = optimum.counts @ (static - own)
    whole = optimum.counts @ gap
    low, high = np.percentile(closed[whole > 0.0] / whole[whole > 0.0], [2.5, 97.5])
    return Interval(float((static - own).mean() / gap.mean()), float(low), float(high))
