"""MAUI's answer for a task in its context: the program of :mod:`offload.maui` on the cost model.

What the answer is worth depends on what the context knows. On the device's estimates it is
``maui-measured``, the practical MAUI; on the true state of the moment it is ``maui-true``, the
reference of decision accuracy. Either is the optimum of one decision, not of an episode.
"""

from __future__ import annotations

from offload.cost_model import ChoiceCosts, choice_costs, edge_budget_s
from offload.maui import place_single_tasks
from offload.types import DecisionContext, IntArray, Objective, Quantity


def maui_placement(context: DecisionContext, objective: Objective) -> IntArray:
    """Least cost among the placements that meet MAUI's bound L, for each task of ``context``.

    Returns:
        int8, 0 local or 1 edge; shape () for one context, (n,) for a batch.
    """
    return placement_at(choice_costs(context, objective), edge_budget_s(context))


def placement_at(costs: ChoiceCosts, time_bound_s: Quantity) -> IntArray:
    """:func:`maui_placement` where the costs are known already."""
    return place_single_tasks(
        local_s=costs.local.seconds,
        edge_s=costs.edge.seconds,
        local_j=costs.local.energy_j,
        edge_j=costs.edge.energy_j,
        time_weight=costs.per_s,
        energy_weight=costs.per_j,
        time_bound_s=time_bound_s,
    )
