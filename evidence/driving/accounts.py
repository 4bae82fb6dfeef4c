"""What a drive came to, task by task: seconds as measured, joules modelled from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agents.paired import BATTERY
from evidence.driving.messages import Arrival, Driven
from offload.cost_model import edge_cost
from offload.energy_model import CPU_BUSY_W, IDLE_W
from offload.objective import prices
from offload.types import (
    DecisionContext,
    DeviceState,
    EdgeState,
    FloatArray,
    Objective,
    Outcome,
    RadioPower,
    TaskProfile,
    Transfer,
)


@dataclass(frozen=True, slots=True)
class Account:
    """One policy's drive; every array has shape (tasks,), in the order of arrival.

    Attributes:
        seconds: from a task's arrival to its outcome.
        energy_j: modelled.
        cost: the objective's, at most the cap; 1 is what a device that ran everything itself was
            predicted to take. A task that failed costs the cap.
        missed: done after the deadline, or failed.
        to_edge: placed on the edge.
        fell_back: placed on the edge, and run on the device after all.
        failed: no answer.
    """

    seconds: FloatArray
    energy_j: FloatArray
    cost: FloatArray
    missed: FloatArray
    to_edge: FloatArray
    fell_back: FloatArray
    failed: FloatArray


def account(
    arrivals: Sequence[Arrival],
    tasks: Sequence[Driven],
    *,
    objective: Objective,
    radio: RadioPower,
    cost_cap: float,
) -> Account:
    """Account for a drive.

    Args:
        arrivals: what arrived.
        tasks: how each went, in the same order.
    """
    seconds = np.array([task.done_s - a.due_s for a, task in zip(arrivals, tasks, strict=True)])
    tails_s = radio_tails_s(tasks, float(radio.tail_s))
    energy_j = np.array(
        [_energy_j(*each, radio) for each in zip(arrivals, tasks, tails_s, strict=True)]
    )
    reference_s = np.array([arrival.reference_s for arrival in arrivals])
    local_s = np.array([arrival.predicted.local_s for arrival in arrivals])
    deadline_s = np.array([arrival.predicted.deadline_s for arrival in arrivals])
    per_s, per_j = prices(objective, BATTERY, reference_s, CPU_BUSY_W * local_s)
    failed = np.array([task.outcome is Outcome.FAILED for task in tasks])
    cost = np.minimum(per_s * seconds + per_j * energy_j, cost_cap)
    return Account(
        seconds=seconds,
        energy_j=energy_j,
        cost=np.where(failed, cost_cap, cost),
        missed=((seconds > deadline_s) | failed).astype(float),
        to_edge=np.array([float(task.to_edge) for task in tasks]),
        fell_back=np.array([float(task.outcome is Outcome.FALLBACK_OK) for task in tasks]),
        failed=failed.astype(float),
    )


def radio_tails_s(tasks: Sequence[Driven], tail_s: float) -> list[float]:
    """For how long the radio would have stayed awake anyway, at each task's decision.

    Args:
        tail_s: for which it stays awake after it was last used.
    """
    ends_s = [task.decided_s + _remote_s(task) if task.to_edge else None for task in tasks]
    tails = []
    for task in tasks:
        asleep_s = [
            end_s + tail_s
            for other, end_s in zip(tasks, ends_s, strict=True)
            if end_s is not None and other.decided_s < task.decided_s
        ]
        tails.append(max(0.0, max(asleep_s, default=0.0) - task.decided_s))
    return tails


def _remote_s(task: Driven) -> float:
    """Seconds that a remote run took, or was tried for."""
    return task.cost.seconds if task.outcome is Outcome.REMOTE_OK else task.lost_s


def _energy_j(arrival: Arrival, task: Driven, tail_left_s: float, radio: RadioPower) -> float:
    local_j = 0.0 if task.outcome is Outcome.REMOTE_OK else CPU_BUSY_W * task.cost.compute_s
    return local_j + (_remote_j(arrival, task, tail_left_s, radio) if task.to_edge else 0.0)


def _remote_j(arrival: Arrival, task: Driven, tail_left_s: float, radio: RadioPower) -> float:
    """Of a remote run as measured; of one that brought nothing, as if it had uploaded all along.

    How far that one's upload had come is not known: at most all of it, and at most what the
    believed rate carries in the time.
    """
    input_bytes = float(arrival.predicted.input_bytes)
    if task.outcome is Outcome.REMOTE_OK:
        cost, output_bytes = task.cost, float(task.output_bytes)
        moved = Transfer(cost.upload_s, cost.download_s)
        edge_s, queue_s = cost.compute_s, cost.queue_s
    else:
        input_bytes = min(input_bytes, task.link.uplink_bps * task.lost_s / 8.0)
        output_bytes, moved, edge_s, queue_s = 0.0, Transfer(task.lost_s, 0.0), 0.0, 0.0
    context = DecisionContext(
        link=task.link,
        task=TaskProfile(0.0, edge_s, input_bytes, output_bytes, arrival.predicted.deadline_s),
        device=DeviceState(0.0, BATTERY, radio, tail_left_s, CPU_BUSY_W, IDLE_W),
        edge=EdgeState(queue_s, 0.0),
        reference_s=1.0,
        reference_j=1.0,
        moved=moved,
    )
    return float(edge_cost(context).energy_j)
