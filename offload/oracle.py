"""MAUI's answer for a task in its context: the program of :mod:`offload.maui` on the cost model.

What the answer is worth depends on what the context knows. On the device's estimates it is
``maui-measured``, the practical MAUI; on the true state of the moment it is ``maui-true``, the
reference of decision accuracy. Either is the optimum of one decision, not of an episode.
"""

from __future__ import annotations

from offload.cost_model import edge_budget_s, edge_cost, local_cost
from offload.maui import place_single_tasks
from offload.objective import prices
from offload.types import DecisionContext, IntArray, Objective


def maui_placement(context: DecisionContext, objective: Objective) -> IntArray:
    """Least cost among the placements that meet MAUI's bound L, for each task of ``context``.

    Returns:
        int8, 0 local or 1 edge; shape () for one context, (n,) for a batch.
    """
    local = local_cost(context)
    edge = edge_cost(context)
    per_s, per_j = prices(
        objective, context.device.battery, context.reference_s, context.reference_j
    )
    return place_single_tasks(
        local_s=local.seconds,
        edge_s=edge.seconds,
        local_j=local.energy_j,
        edge_j=edge.energy_j,
        time_weight=per_s,
        energy_weight=per_j,
        time_bound_s=edge_budget_s(context),
    )
