"""Where a policy offloads: its answers over round-trip time and bandwidth, for each kind of task.

Everything else is held still: a fresh estimate of a symmetric link, an idle device with a charged
battery and a sleeping radio, an idle edge. The optimum's map is maui-true's, to which such a
context is the truth; a policy that has learned to mistrust its estimates may well depart from it
near the border.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.maui_policy import MauiPolicy
from envs.config import EnvConfig
from envs.workload import WorkloadTable
from offload.energy_model import CPU_BUSY_W, IDLE_W, get_radio
from offload.interfaces import Policy
from offload.types import (
    DecisionContext,
    DeviceState,
    EdgeState,
    FloatArray,
    IntArray,
    LinkState,
    TaskProfile,
)

RTT_S = (1e-3, 1.0)
RATE_BPS = (1e5, 1e9)
POINTS = 41
"""Points of either axis, evenly spaced in the logarithm."""
RADIO = "wifi"
LOSS = 0.001
JITTER_SHARE = 0.05
"""Jitter, as a share of the RTT."""
DEADLINE_SLACK = 3.0
"""Deadline, in units of the task's seconds on the device."""


@dataclass(frozen=True, slots=True)
class MapGrid:
    """The contexts of a map and the optimum's answers to them.

    Attributes:
        kinds: task kinds, each with the size that is shown: ``ocr, medium``.
        rtt_s, rate_bps: the axes, shape (POINTS,).
        contexts: a batch of shape (kinds * POINTS * POINTS,), rate before RTT.
        optimum: maui-true's placements, shape (kinds, POINTS, POINTS): kind, rate, RTT.
    """

    kinds: tuple[str, ...]
    rtt_s: FloatArray
    rate_bps: FloatArray
    contexts: DecisionContext
    optimum: IntArray

    def answers(self, policy: Policy) -> IntArray:
        """Where a policy places each task; shape as :attr:`optimum`."""
        return np.asarray(policy.decide(self.contexts)).reshape(self.optimum.shape)


def make_grid(config: EnvConfig, table: WorkloadTable) -> MapGrid:
    """The map of a world.

    Args:
        config: its objective and congestion control.
        table: its tasks; of each kind the one of middle length is shown.
    """
    rows = _middle_rows(table)
    rtt_s = np.geomspace(*RTT_S, POINTS)
    rate_bps = np.geomspace(*RATE_BPS, POINTS)
    row, rate, rtt = (axis.ravel() for axis in np.meshgrid(rows, rate_bps, rtt_s, indexing="ij"))
    row = row.astype(int)
    n = len(row)
    still = np.zeros(n)
    local_s = table.local_s[row]
    task = TaskProfile(
        local_s=local_s,
        edge_s=table.edge_s[row],
        input_bytes=table.input_bytes[row],
        output_bytes=table.output_bytes[row],
        deadline_s=DEADLINE_SLACK * local_s,
    )
    contexts = DecisionContext(
        link=LinkState(rtt, JITTER_SHARE * rtt, np.full(n, LOSS), rate, rate, still),
        task=task,
        device=DeviceState(still, np.ones(n), get_radio(RADIO), still, CPU_BUSY_W, IDLE_W),
        edge=EdgeState(still, still),
        reference_s=local_s,
        reference_j=CPU_BUSY_W * local_s,
        congestion_control=config.congestion_control,
    )
    truth = MauiPolicy(config.objective, sees_truth=True)
    optimum = truth.decide(contexts).reshape(len(rows), POINTS, POINTS)
    kinds = tuple(table.labels[index].replace("/", ", ") for index in rows)
    return MapGrid(kinds, rtt_s, rate_bps, contexts, optimum)


def _middle_rows(table: WorkloadTable) -> list[int]:
    """Of each kind, in the table's order, the row of middle length on the device."""
    kinds: dict[str, list[int]] = {}
    for index, label in enumerate(table.labels):
        kinds.setdefault(label.partition("/")[0], []).append(index)
    by_length = [sorted(rows, key=lambda row: table.local_s[row]) for rows in kinds.values()]
    return [rows[len(rows) // 2] for rows in by_length]
