"""Scores policies on paired live runs: each task was run on both sides, so both costs are measured.

Each task is judged on its own: no queue on the device, a radio asleep, a charged battery. The
seconds are measured; the joules come from the energy model fed with the measured seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from agents.rollout import Rollout
from agents.simulation import Evaluation, score_all
from offload.cost_model import choice_costs
from offload.energy_model import CPU_BUSY_W, IDLE_W
from offload.interfaces import Policy
from offload.oracle import maui_placement
from offload.types import (
    DecisionContext,
    DeviceState,
    EdgeState,
    Objective,
    PairedRun,
    RadioPower,
    TaskProfile,
    Transfer,
)

BATTERY = 0.8
NEVER_BACK = 100.0
"""A run given up after its budget counts as taking so many budgets: beyond every bound."""


def _stack(parts: Sequence[Any]) -> Any:
    """Dataclasses of numbers to one dataclass of arrays; what is no number must be equal in all."""
    first = parts[0]
    if is_dataclass(first) and not isinstance(first, type):
        stacked = {f.name: _stack([getattr(p, f.name) for p in parts]) for f in fields(first)}
        return type(first)(**stacked)
    if first is None or isinstance(first, str):
        return first
    return np.asarray(parts, dtype=np.float64)


def _context(
    run: PairedRun,
    radio: RadioPower,
    congestion_control: str,
    task: TaskProfile,
    edge: EdgeState,
    moved: Transfer | None,
) -> DecisionContext:
    device = DeviceState(
        queue_s=0.0,
        battery=BATTERY,
        radio=radio,
        radio_tail_left_s=0.0,
        cpu_w=CPU_BUSY_W,
        idle_w=IDLE_W,
    )
    return DecisionContext(
        link=run.link,
        task=task,
        device=device,
        edge=edge,
        reference_s=task.local_s,
        reference_j=CPU_BUSY_W * task.local_s,
        congestion_control=congestion_control,
        moved=moved,
    )


def measured_contexts(
    runs: Sequence[PairedRun], radio: RadioPower, congestion_control: str
) -> DecisionContext:
    """What the device knew before each run, as a batch."""
    return _stacked(
        [_context(r, radio, congestion_control, r.predicted, r.edge_seen, None) for r in runs]
    )


def true_contexts(
    runs: Sequence[PairedRun], radio: RadioPower, congestion_control: str
) -> DecisionContext:
    """What came out: the same batch with the measured seconds of both sides."""
    contexts = []
    for run in runs:
        if run.edge is None:
            edge_s, queue_s = run.predicted.edge_s, 0.0
            moved = Transfer(NEVER_BACK * run.budget_s, 0.0)
        else:
            edge_s, queue_s = run.edge.compute_s, run.edge.queue_s
            moved = Transfer(run.edge.upload_s, run.edge.download_s)
        task = TaskProfile(
            local_s=run.local.compute_s,
            edge_s=edge_s,
            input_bytes=run.predicted.input_bytes,
            output_bytes=run.predicted.output_bytes,
            deadline_s=run.predicted.deadline_s,
        )
        contexts.append(
            _context(run, radio, congestion_control, task, EdgeState(queue_s, 0.0), moved)
        )
    return _stacked(contexts)


def _stacked(contexts: Sequence[DecisionContext]) -> DecisionContext:
    batch: DecisionContext = _stack(contexts)
    return batch


def score_pairs(
    policies: Sequence[Policy],
    runs: Sequence[PairedRun],
    *,
    radio: RadioPower,
    congestion_control: str,
    objective: Objective,
    cost_cap: float,
    seed: int,
) -> Evaluation:
    """Score every policy on the same measured instances.

    Args:
        runs: the paired runs; each is a scenario of one decision.
        cost_cap: as in :class:`envs.config.EnvConfig`.
        seed: of the bootstrap.
    """
    measured = measured_contexts(runs, radio, congestion_control)
    true = true_contexts(runs, radio, congestion_control)
    budget_s = np.array([run.budget_s for run in runs])
    costs = choice_costs(true, objective, budget_s=budget_s)
    local_cost = np.minimum(costs.local_objective, cost_cap)
    edge_cost = np.minimum(costs.edge_objective, cost_cap)
    optimum = maui_placement(true, objective)

    rollouts = {}
    for policy in policies:
        placement = np.asarray(policy.decide(true if policy.sees_truth else measured))
        to_edge = placement == 1
        realised = costs.edge_realised
        seconds = np.where(to_edge, realised.seconds, costs.local.seconds)
        terms = {
            "placement": placement,
            "optimum": optimum,
            "cost": np.where(to_edge, edge_cost, local_cost),
            "local_cost": local_cost,
            "edge_cost": edge_cost,
            "seconds": seconds,
            "energy_j": np.where(to_edge, realised.energy_j, costs.local.energy_j),
            "missed": (seconds > true.task.deadline_s).astype(float),
            "fell_back": (to_edge & realised.fell_back).astype(float),
        }
        rollouts[policy.name] = Rollout(**{name: term[None, :] for name, term in terms.items()})
    return score_all(rollouts, np.zeros(len(runs), dtype=np.int64), seed)
