"""MAUI's answer for a single task in its context, against the integer program solved by HiGHS."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from offload.call_graph import CallGraph
from offload.energy_model import RADIO_NAMES, RADIOS
from offload.maui import minimise_weighted
from offload.oracle import maui_placement
from offload.types import (
    DecisionContext,
    DeviceState,
    EdgeState,
    LinkState,
    Objective,
    TaskProfile,
    Transfer,
)


def _draw(rng: np.random.Generator) -> DecisionContext:
    local_s = float(np.exp(rng.uniform(np.log(0.05), np.log(5.0))))
    return DecisionContext(
        link=LinkState(0.05, 0.0, 0.0, 1e7, 1e7),
        task=TaskProfile(
            local_s=local_s,
            edge_s=local_s / 4,
            input_bytes=float(10 ** rng.uniform(2, 6)),
            output_bytes=float(10 ** rng.uniform(1, 5)),
            deadline_s=local_s * float(rng.uniform(1.0, 5.0)),
        ),
        device=DeviceState(
            queue_s=float(rng.choice([0.0, rng.exponential(1.0)])),
            battery=float(rng.uniform(0.0, 1.0)),
            radio=RADIOS[RADIO_NAMES[rng.integers(5)]],
            radio_tail_left_s=float(rng.choice([0.0, 3.0, 20.0])),
            cpu_w=5.0,
            idle_w=0.2,
        ),
        edge=EdgeState(float(rng.choice([0.0, rng.exponential(0.5)])), 0.0),
        reference_s=local_s * float(rng.uniform(1.0, 3.0)),
        reference_j=5.0 * local_s,
        moved=Transfer(float(rng.exponential(0.6 * local_s)), float(rng.exponential(0.1))),
    )


def _radio_j(context: DecisionContext) -> float:
    """The radio's joules, written out anew."""
    radio, task, moved = context.device.radio, context.task, context.moved
    assert moved is not None
    tail_left_s = context.device.radio_tail_left_s
    waking_j = 0.0 if tail_left_s > 0 else radio.promotion_w * radio.promotion_s
    return (
        8 * radio.uplink_w_per_bps * task.input_bytes
        + 8 * radio.downlink_w_per_bps * task.output_bytes
        + radio.uplink_base_w * moved.upload_s
        + radio.downlink_base_w * moved.download_s
        + waking_j
        + radio.tail_w * max(radio.tail_s - tail_left_s, 0.0)
    )


def _weights(objective: Objective, battery: float) -> tuple[float, float]:
    if objective is not Objective.MIXED:
        return (1.0, 0.0) if objective is Objective.LATENCY else (0.0, 1.0)
    energy = 0.5 if battery >= 0.3 else 0.5 + 0.5 * (0.3 - battery) / 0.3
    return 1.0 - energy, energy


@pytest.mark.parametrize("objective", list(Objective))
def test_the_integer_program_agrees(objective: Objective) -> None:
    rng = np.random.default_rng(11)
    seen: Counter[int] = Counter()
    bound_decided = 0
    for _ in range(300):
        context = _draw(rng)
        task, device, moved = context.task, context.device, context.moved
        assert moved is not None
        time_weight, energy_weight = _weights(objective, device.battery)
        graph = CallGraph.single_task(
            local_s=device.queue_s + task.local_s,
            edge_s=context.edge.queue_s + task.edge_s,
            local_j=5.0 * task.local_s,
            edge_j=0.2 * (context.edge.queue_s + task.edge_s),
            transfer_s=moved.upload_s + moved.download_s,
            transfer_j=_radio_j(context),
        )
        bound_s = max(task.deadline_s - task.local_s, device.queue_s + task.local_s)
        weights = time_weight / context.reference_s, energy_weight / context.reference_j
        solution = minimise_weighted(graph, *weights, time_bound_s=bound_s)
        chosen = int(maui_placement(context, objective))
        assert chosen == int(solution.placement["task"])
        seen[chosen] += 1
        unbounded = minimise_weighted(graph, *weights)
        bound_decided += unbounded.placement != solution.placement
    assert min(seen.values()) > 30, "both answers must occur, or this shows little"
    if objective is not Objective.LATENCY:
        assert bound_decided > 0, "the deadline must decide some"
