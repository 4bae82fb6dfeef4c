"""From redraws of a decision to how well anyone could have taken it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offload.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Bound:
    """How well who knew all but what is redrawn could decide; arrays of shape (lanes,).

    The likelier placement, and the cheaper one, are only as well known as there are redraws. Chosen
    by one half and counted in the other, the choice is at times the wrong one: a bound that is on
    average too tight. Chosen and counted in the same redraws it is on average too loose. The exact
    bound lies between the two.

    Attributes:
        right, right_high: share of redraws in which the likelier placement is the optimum; by
            halves, and in the same redraws.
        cost, cost_low: cost of the placement that is cheaper on average; likewise.
        true_cost: mean cost of maui-true's choice, which differs from redraw to redraw.
        policy_right, policy_cost: the same of the policy's choice.
    """

    right: FloatArray
    right_high: FloatArray
    cost: FloatArray
    cost_low: FloatArray
    true_cost: FloatArray
    policy_right: FloatArray
    policy_cost: FloatArray


def bound_of(optima: FloatArray, costs: FloatArray, chosen: IntArray) -> Bound:
    """Of redraws' optima, shape (redraws, lanes), and costs, shape (redraws, 2, lanes).

    Args:
        chosen: the policy's placements, shape (lanes,).
    """
    lanes = np.arange(optima.shape[1])
    half = len(optima) // 2
    right, cost = [], []
    for learn, count in ((slice(half), slice(half, None)), (slice(half, None), slice(half))):
        likely = optima[learn].mean(axis=0) > 0.5
        right.append((optima[count] == likely).mean(axis=0))
        cheaper = costs[learn].mean(axis=0).argmin(axis=0)
        cost.append(costs[count].mean(axis=0)[cheaper, lanes])
    at_edge, mean_costs = optima.mean(axis=0), costs.mean(axis=0)
    return Bound(
        right=np.mean(right, axis=0),
        right_high=np.maximum(at_edge, 1.0 - at_edge),
        cost=np.mean(cost, axis=0),
        cost_low=mean_costs.min(axis=0),
        true_cost=np.where(optima == 1, costs[:, 1], costs[:, 0]).mean(axis=0),
        policy_right=(optima == chosen).mean(axis=0),
        policy_cost=mean_costs[chosen.astype(int), lanes],
    )
