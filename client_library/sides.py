"""Where a program's tasks can run, and what is known of that when one is placed."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from client_library.known_link import KnownLink
from client_library.predictions import Prediction
from edge_server.pool import EdgePool
from offload.attempt import NO_COST
from offload.cost_model import edge_cost
from offload.energy_model import CPU_BUSY_W, IDLE_W
from offload.local_executor import LocalExecutor
from offload.types import (
    NEVER_S,
    DecisionContext,
    DeviceState,
    EdgeState,
    PlacementCost,
    RadioPower,
    TaskProfile,
    Transfer,
)

LEAST_S = 1e-6
"""Seconds that a clock may call 0 and the models may not."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Where tasks can run, and what is known of the way there and of the device."""

    local: LocalExecutor
    edge: EdgePool
    link: KnownLink
    radio: RadioPower
    battery: float
    congestion_control: str

    def context(
        self,
        expected: Prediction,
        payload_bytes: int,
        deadline_s: float,
        *,
        queue_s: float,
        edge_used_s: float,
    ) -> DecisionContext:
        """What is known at this moment of a task and of both sides.

        Args:
            expected: what the task takes.
            payload_bytes: its encoded input.
            deadline_s: from now.
            queue_s: predicted seconds of what it would wait for on the device.
            edge_used_s: when the edge last answered, on the monotonic clock.
        """
        edge = self.edge.edge_state()
        local_s = max(expected.local_s, LEAST_S)
        tail_s = edge_used_s + float(self.radio.tail_s) - time.monotonic()
        return DecisionContext(
            link=self.link.state(),
            task=TaskProfile(
                local_s=local_s,
                edge_s=max(expected.edge_s, LEAST_S),
                input_bytes=float(payload_bytes),
                output_bytes=expected.output_bytes,
                deadline_s=deadline_s,
            ),
            device=DeviceState(
                queue_s, self.battery, self.radio, max(0.0, tail_s), CPU_BUSY_W, IDLE_W
            ),
            edge=EdgeState(edge.queue_s, min(float(edge.age_s), NEVER_S)),
            reference_s=queue_s + local_s,
            reference_j=CPU_BUSY_W * local_s,
            congestion_control=self.congestion_control,
        )


def with_joules(cost: PlacementCost, context: DecisionContext, site: str) -> PlacementCost:
    """The measured seconds, and what the energy model makes of them."""
    if site == "edge":
        measured = replace(
            context,
            moved=Transfer(cost.upload_s, cost.download_s),
            task=replace(context.task, edge_s=cost.compute_s),
            edge=replace(context.edge, queue_s=cost.queue_s),
        )
        return edge_cost(measured)
    if site == "device":
        return replace(cost, cpu_j=context.device.cpu_w * cost.compute_s)
    return replace(NO_COST, queue_s=cost.queue_s)
