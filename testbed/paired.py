"""Runs each task instance on both sides, so that which side is better is measured."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.random import Generator

from offload.cost_model import edge_budget_s
from offload.tasks.profile_table import ProfileRow
from offload.types import (
    DecisionContext,
    DeviceState,
    EdgeState,
    LinkState,
    PairedRun,
    PlacementCost,
    RadioPower,
    TaskInstance,
    TaskProfile,
)
from testbed.calibration import Calibration as Calibration
from testbed.calibration import RunningCalibration
from testbed.calibration import calibrate as calibrate
from testbed.messages import Executed
from testbed.processes import TestbedError
from testbed.testbed import Testbed

LOCAL_BUDGET_S = 60.0
PROBE_EVERY_S = 4.0

_StateT = TypeVar("_StateT", LinkState, EdgeState)


def draw_instances(
    rng: Generator, rows: Sequence[ProfileRow], count: int
) -> list[tuple[TaskInstance, ProfileRow]]:
    """Task instances spread evenly over the rows, in random order, each with its own seed."""
    order: list[int] = []
    while len(order) < count:
        order.extend(int(i) for i in rng.permutation(len(rows)))
    seeds = rng.integers(1_000, 2**31, size=count)
    return [
        (TaskInstance(rows[i].kind, rows[i].size, int(seed)), rows[i])
        for i, seed in zip(order[:count], seeds, strict=True)
    ]


def run_pairs(
    testbed: Testbed,
    instances: Sequence[tuple[TaskInstance, ProfileRow]],
    *,
    rng: Generator,
    calibration: Calibration,
    deadline_slack: tuple[float, float],
    radio: RadioPower,
    seen: Callable[[PairedRun], object],
) -> list[PairedRun]:
    """Run every instance on both sides, in random order of the sides.

    The edge gets no longer than an engine would wait for it. The link is probed anew once the last
    estimate is older than PROBE_EVERY_S.

    Args:
        calibration: of the warm-up; the predictions follow the runs from there.
        deadline_slack: bounds of the deadline, in units of the predicted local seconds.
        seen: called with each pair as it is done.

    Raises:
        TestbedError: a local run failed; there is nothing to compare with then.
    """
    runs = []
    running = RunningCalibration(calibration)
    measured = testbed.measure()
    measured_at = time.monotonic()
    for task, row in instances:
        if time.monotonic() - measured_at > PROBE_EVERY_S:
            measured = testbed.measure()
            measured_at = time.monotonic()
        waited_s = time.monotonic() - measured_at
        link, edge = _aged(measured.link, waited_s), _aged(measured.edge, waited_s)
        factors = running.now
        predicted = TaskProfile(
            local_s=row.local_s * factors.local,
            edge_s=row.edge_s * factors.edge,
            input_bytes=row.input_bytes,
            output_bytes=row.output_bytes,
            deadline_s=row.local_s * factors.local * rng.uniform(*deadline_slack),
        )
        budget_s = _budget_s(link, predicted, radio)
        edge_first = bool(rng.integers(2))
        done: dict[bool, Executed] = {}
        trace_s = None
        for on_edge in (edge_first, not edge_first):
            allowed_s = budget_s if on_edge else LOCAL_BUDGET_S
            if on_edge and testbed.player is not None:
                trace_s = testbed.player.position_s
            done[on_edge] = testbed.execute(task, on_edge=on_edge, budget_s=allowed_s)
        run = _paired(task, (link, edge), predicted, budget_s, done[False], done[True])
        run = dataclasses.replace(run, trace_s=trace_s, decided_s=measured_at + waited_s)
        runs.append(run)
        at_edge_s = None if run.edge is None else float(run.edge.compute_s)
        running.saw(row, float(run.local.compute_s), at_edge_s)
        seen(run)
    return runs


def _paired(
    task: TaskInstance,
    seen: tuple[LinkState, EdgeState],
    predicted: TaskProfile,
    budget_s: float,
    local: Executed,
    edge: Executed,
) -> PairedRun:
    if local.cost is None:
        raise TestbedError(f"{task.kind}/{task.size} failed on the device: {local.detail}")
    # The device holds the input when it decides, so it knows its true size.
    known = TaskProfile(
        local_s=predicted.local_s,
        edge_s=predicted.edge_s,
        input_bytes=float(local.input_bytes),
        output_bytes=predicted.output_bytes,
        deadline_s=predicted.deadline_s,
    )
    cost: PlacementCost | None = edge.cost
    return PairedRun(
        task=task,
        link=seen[0],
        edge_seen=seen[1],
        predicted=known,
        budget_s=budget_s,
        local=local.cost,
        edge=cost,
        correct=local.correct and edge.correct,
        detail=edge.detail,
    )


def _aged(state: _StateT, seconds: float) -> _StateT:
    return dataclasses.replace(state, age_s=state.age_s + seconds)


def _budget_s(link: LinkState, task: TaskProfile, radio: RadioPower) -> float:
    device = DeviceState(0.0, 1.0, radio, 0.0, 0.0, 0.0)
    context = DecisionContext(link, task, device, EdgeState(0.0, math.inf), 1.0, 1.0)
    return float(np.asarray(edge_budget_s(context)))
