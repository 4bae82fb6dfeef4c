"""The only place where the seconds and joules of a placement are computed.

Environment, oracle, thresholds, live prediction and the accounting of measured runs all call this
module, each with what it knows: predicted or true seconds, a measured or the true link.
"""

from __future__ import annotations

from dataclasses import dataclass

from offload import link_model
from offload.elementwise import functions_for
from offload.energy_model import moving_energy_j, tail_energy_j
from offload.objective import prices
from offload.types import (
    DecisionContext,
    LinkState,
    Objective,
    PlacementCost,
    Quantity,
    TaskProfile,
    Transfer,
)


def transfer(link: LinkState, task: TaskProfile, congestion_control: str) -> Transfer:
    """Predict both transfers of a remote run, uplink and downlink each with its own rate."""
    path = (link.rtt_s, link.loss, congestion_control, link.jitter_s)
    return Transfer(
        link_model.transfer_s(task.input_bytes, link.uplink_bps, *path),
        link_model.transfer_s(task.output_bytes, link.downlink_bps, *path),
    )


def local_cost(context: DecisionContext) -> PlacementCost:
    """Cost of running on the device: behind its queue, on its CPU."""
    zero = 0.0 * context.task.local_s
    return PlacementCost(
        upload_s=zero,
        queue_s=context.device.queue_s,
        compute_s=context.task.local_s,
        download_s=zero,
        cpu_j=context.device.cpu_w * context.task.local_s,
        radio_j=zero,
    )


def edge_cost(context: DecisionContext) -> PlacementCost:
    """Cost of a remote run that is let finish."""
    moved = context.moved
    if moved is None:
        moved = transfer(context.link, context.task, context.congestion_control)
    waiting_s = context.edge.queue_s + context.task.edge_s
    return PlacementCost(
        upload_s=moved.upload_s,
        queue_s=context.edge.queue_s,
        compute_s=context.task.edge_s,
        download_s=moved.download_s,
        cpu_j=context.device.idle_w * waiting_s,
        radio_j=moving_energy_j(
            context.device.radio,
            uplink_bytes=context.task.input_bytes,
            downlink_bytes=context.task.output_bytes,
            upload_s=moved.upload_s,
            download_s=moved.download_s,
        ),
        tail_j=tail_energy_j(context.device.radio, context.device.radio_tail_left_s),
    )


def edge_budget_s(context: DecisionContext) -> Quantity:
    """Longest that the device waits for the edge before it runs the task itself.

    It leaves the device the time to finish before the deadline; where the deadline leaves no room
    for both, the edge gets as long as a local run would have taken. This is MAUI's bound L, and a
    local run always meets it.
    """
    return budget_of(context.task, context.device.queue_s)


def budget_of(task: TaskProfile, queue_s: Quantity) -> Quantity:
    """:func:`edge_budget_s` from what it depends on: the task, and the device's own queue."""
    instead_s = task.deadline_s - task.local_s
    queued_s = queue_s + task.local_s
    return functions_for(instead_s, queued_s).maximum(instead_s, queued_s)


@dataclass(frozen=True, slots=True)
class Realised:
    """What a placement comes to once the fallback is counted in."""

    seconds: Quantity
    energy_j: Quantity
    fell_back: Quantity


def realised_edge(edge: PlacementCost, local: PlacementCost, budget_s: Quantity) -> Realised:
    """What choosing the edge comes to: its own cost within the budget, else the fallback's.

    A run that is not back after ``budget_s`` is given up and done on the device, whose queue has
    drained by then (the budget is never less than queue plus local run). Moving and waiting have
    by then cost energy in proportion to the time used; waking the radio and its tail cost all of
    theirs, however early the run was given up.
    """
    edge_s = edge.seconds
    xp = functions_for(edge_s, budget_s, edge.tail_j, local.compute_s)
    late = xp.greater(edge_s, budget_s)
    used = xp.minimum(1.0, xp.divide(budget_s, edge_s))
    spent_j = used * (edge.cpu_j + edge.radio_j) + edge.tail_j + local.cpu_j
    return Realised(
        seconds=xp.where(late, budget_s + local.compute_s, edge_s),
        energy_j=xp.where(late, spent_j, edge.energy_j),
        fell_back=late,
    )


@dataclass(frozen=True, slots=True)
class ChoiceCosts:
    """Both choices of one decision (or a batch), in seconds, joules and the objective's unit.

    ``per_s``, ``per_j``: what a second and a joule cost, see :func:`offload.objective.prices`.
    """

    local: PlacementCost
    edge: PlacementCost
    edge_realised: Realised
    local_objective: Quantity
    edge_objective: Quantity
    budget_s: Quantity
    per_s: Quantity
    per_j: Quantity


def choice_costs(
    context: DecisionContext, objective: Objective, *, budget_s: Quantity | None = None
) -> ChoiceCosts:
    """Cost of both placements of each task in ``context``.

    Args:
        budget_s: the budget an engine has set; by default :func:`edge_budget_s` of ``context``.
    """
    local = local_cost(context)
    edge = edge_cost(context)
    budget = edge_budget_s(context) if budget_s is None else budget_s
    realised = realised_edge(edge, local, budget)

    per_s, per_j = prices(
        objective, context.device.battery, context.reference_s, context.reference_j
    )
    return ChoiceCosts(
        local=local,
        edge=edge,
        edge_realised=realised,
        local_objective=per_s * local.seconds + per_j * local.energy_j,
        edge_objective=per_s * realised.seconds + per_j * realised.energy_j,
        budget_s=budget,
        per_s=per_s,
        per_j=per_j,
    )
