"""From what policies did to the numbers that are reported, each with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import trim_mean

from agents.rollout import Rollout
from offload.types import FloatArray, IntArray

TIE_SHARE = 0.02
"""Placements whose costs differ by less than this share of the smaller count as equally right."""
RESAMPLES = 2000
COLLAPSE_SHARE = 0.999
"""A policy with one answer for more than this share of decisions has collapsed."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def as_list(self) -> list[float]:
        """For JSON: [value, low, high]."""
        return [self.value, self.low, self.high]


def _as_dict(part: Score | LinkScore) -> dict[str, Any]:
    values = {name: getattr(part, name) for name in part.__slots__}
    return {n: v.as_list() if isinstance(v, Interval) else v for n, v in values.items()}


@dataclass(frozen=True, slots=True)
class LinkScore:
    """What is reported of one policy on one link of several; the fields are those of Score."""

    accuracy: Interval
    cost: Interval
    regret_maui_true: Interval
    offloaded: float
    scenarios: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON; intervals as [value, low, high]."""
        return _as_dict(self)


@dataclass(frozen=True, slots=True)
class Score:
    """What is reported of one policy.

    Attributes:
        accuracy: share of decisions equal to maui-true's at the same state.
        accuracy_ties: the same, with costs within 2 % of each other counted as right.
        cost: mean cost; always-local is 1.
        cost_iqm: interquartile mean over scenarios of the scenario's mean cost.
        regret_maui_true: mean cost above maui-true's in the same scenarios.
        regret_step: mean cost above the better placement at the state the policy had come to.
        latency_p50_s, latency_p95_s: completion time.
        energy_j: mean modelled energy a task.
        offloaded, deadline_misses, fallbacks: shares of decisions.
        collapsed: it always answers the same.
    """

    accuracy: Interval
    accuracy_ties: Interval
    cost: Interval
    cost_iqm: Interval
    regret_maui_true: Interval
    regret_step: Interval
    latency_p50_s: float
    latency_p95_s: float
    energy_j: float
    offloaded: float
    deadline_misses: float
    fallbacks: float
    collapsed: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON; intervals as [value, low, high]."""
        return _as_dict(self)


def bootstrap_counts(strata: IntArray, rng: np.random.Generator) -> FloatArray:
    """How often each scenario occurs in each resample, drawn within its stratum.

    Args:
        strata: the stratum (link profile) of each scenario, shape (n,).

    Returns:
        Shape (RESAMPLES, n), each row adding up to n.
    """
    counts = np.zeros((RESAMPLES, len(strata)))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        even = np.full(len(members), 1.0 / len(members))
        counts[:, members] = rng.multinomial(len(members), even, size=RESAMPLES)
    return counts


def mean_interval(values: FloatArray, counts: FloatArray) -> Interval:
    """Mean over scenarios.

    Args:
        values: one a scenario, shape (n,).
        counts: from :func:`bootstrap_counts`.
    """
    means = counts @ values / len(values)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(values.mean()), float(low), float(high))


def trimmed_interval(values: FloatArray, counts: FloatArray) -> Interval:
    """Interquartile mean over scenarios; arguments as :func:`mean_interval`."""
    order = np.argsort(values)
    ranked = values[order]
    ends = np.cumsum(counts[:, order], axis=1)
    n = len(values)
    cut = int(0.25 * n)
    # How many of each scenario's copies lie between the quartiles of the resample.
    inside = np.minimum(ends, n - cut) - np.maximum(ends - counts[:, order], cut)
    means = np.maximum(inside, 0.0) @ ranked / (n - 2 * cut)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(trim_mean(values, 0.25)), float(low), float(high))


def score(played: Rollout, oracle: Rollout, counts: FloatArray) -> Score:
    """Score one policy.

    Args:
        played: what it did; arrays of shape (steps, scenarios).
        oracle: what maui-true did in the same scenarios.
        counts: resamples of the scenarios, the same for every policy.
    """
    right = (played.placement == played.optimum).astype(float)
    better = np.minimum(played.local_cost, played.edge_cost)
    gap = np.abs(played.local_cost - played.edge_cost)
    right_or_tie = np.maximum(right, (gap <= TIE_SHARE * better).astype(float))
    scenario_cost = played.cost.mean(axis=0)
    offloaded = float(played.placement.mean())
    return Score(
        accuracy=mean_interval(right.mean(axis=0), counts),
        accuracy_ties=mean_interval(right_or_tie.mean(axis=0), counts),
        cost=mean_interval(scenario_cost, counts),
        cost_iqm=trimmed_interval(scenario_cost, counts),
        regret_maui_true=mean_interval((played.cost - oracle.cost).mean(axis=0), counts),
        regret_step=mean_interval(played.regret.mean(axis=0), counts),
        latency_p50_s=float(np.percentile(played.seconds, 50)),
        latency_p95_s=float(np.percentile(played.seconds, 95)),
        energy_j=float(played.energy_j.mean()),
        offloaded=offloaded,
        deadline_misses=float(played.missed.mean()),
        fallbacks=float(played.fell_back.mean()),
        collapsed=max(offloaded, 1.0 - offloaded) > COLLAPSE_SHARE,
    )


def score_link(
    played: Rollout, oracle: Rollout, members: IntArray, counts: FloatArray
) -> LinkScore:
    """Score one policy on one link.

    Args:
        played, oracle: as for :func:`score`.
        members: the link's scenarios.
        counts: resamples of all scenarios, drawn within links.
    """
    own = counts[:, members]
    cost, right = played.cost[:, members], (played.placement == played.optimum)[:, members]
    return LinkScore(
        accuracy=mean_interval(right.mean(axis=0), own),
        cost=mean_interval(cost.mean(axis=0), own),
        regret_maui_true=mean_interval((cost - oracle.cost[:, members]).mean(axis=0), own),
        offloaded=float(played.placement[:, members].mean()),
        scenarios=len(members),
    )
