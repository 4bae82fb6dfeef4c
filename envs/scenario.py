"""A scenario: everything of an episode that the decisions cannot change, drawn ahead.

Links, tasks, arrivals and the edge's other users do not depend on what the agent does. Drawing
them ahead lets every policy meet the very same scenarios, and gives the cost of both placements
of each task for free.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from envs.calibration import models_of
from envs.config import EnvConfig
from envs.edge_process import DrawEdges, EdgeSamples, draw_edge
from envs.lanes import take
from envs.link_process import LinkSamples
from envs.links import DrawLinks, draw_all_links
from envs.probe_times import draw_probe_times
from envs.switches import in_force
from envs.workload import WorkloadSamples, WorkloadTable, draw_workload
from offload.cost_model import transfer
from offload.link_memory import histories
from offload.objective import LOW_BATTERY
from offload.transfer_spread import transfer_factor
from offload.types import FloatArray, IntArray, LinkHistory, Transfer


@dataclass(frozen=True, slots=True)
class Scenario:
    """A block of episodes side by side.

    Attributes:
        links, edge, work: see their classes; arrays of shape (steps, lanes).
        true_moved: seconds of the transfers a remote run would really need.
        predicted_moved: the same, predicted from the device's estimate of the link.
        history: what earlier probes said of the link, at each decision.
        reference_queue_s: backlog the device would have if it ran every task itself.
        battery: charge at the start, shape (lanes,).
    """

    links: LinkSamples
    edge: EdgeSamples
    work: WorkloadSamples
    true_moved: Transfer
    predicted_moved: Transfer
    history: LinkHistory
    reference_queue_s: FloatArray
    battery: FloatArray

    @property
    def steps(self) -> int:
        """Tasks in each episode."""
        return int(self.reference_queue_s.shape[0])

    @property
    def lanes(self) -> int:
        """Episodes side by side."""
        return int(self.reference_queue_s.shape[1])

    def lane(self, index: int) -> Scenario:
        """One of the episodes, as a scenario of one lane."""
        return self.take(np.array([index]))

    def take(self, lanes: IntArray) -> Scenario:
        """Those of the episodes, in that order; one may be taken more than once."""
        return take(self, lanes)


def all_local_backlog(gap_s: FloatArray, local_s: FloatArray) -> FloatArray:
    """Backlog found by each task if every task ran on the device (Lindley's recursion).

    Args:
        gap_s: time since the task before arrived, shape (steps, lanes).
        local_s: seconds each task takes, shape (steps, lanes).
    """
    backlog = np.zeros_like(local_s)
    for step in range(1, len(local_s)):
        backlog[step] = np.maximum(backlog[step - 1] + local_s[step - 1] - gap_s[step], 0.0)
    return backlog


def draw_scenario(
    rng: Generator,
    config: EnvConfig,
    table: WorkloadTable,
    lanes: int,
    draw_links: DrawLinks = draw_all_links,
    draw_edges: DrawEdges = draw_edge,
) -> Scenario:
    """Draw ``lanes`` episodes of ``config.episode_tasks`` tasks each.

    Args:
        draw_links, draw_edges: how their links and edges are drawn.
    """
    config = in_force(config)
    work = draw_workload(rng, config.workload, table, config.episode_tasks, lanes)
    work = _without(work, config.without)
    probes = draw_probe_times(rng, work.gap_s, config.link.estimate_age_s)
    algorithm = config.congestion_control
    links, exact_transfer = draw_links(rng, config, probes)
    transfers, server = models_of(config)
    edge = server.applied(
        draw_edges(rng, config.edge, probes), work.true.input_bytes + work.true.output_bytes
    )
    exact = exact_transfer(work.true, edge.queue_s)
    spread = config.link.transfer_spread * transfers.spread
    up, down = (
        transfer_factor(rng.random(work.gap_s.shape), links.true.loss, algorithm) ** spread
        for _ in range(2)
    )
    moved = Transfer(exact.upload_s * up, exact.download_s * down)
    if "transfer_surprise" in config.without:
        moved = transfer(links.true, work.true, algorithm)
    low = rng.random(lanes) < config.low_battery_share
    charge = np.where(
        low, rng.uniform(0.0, LOW_BATTERY, lanes), rng.uniform(LOW_BATTERY, 1.0, lanes)
    )
    backlog_s = all_local_backlog(work.gap_s, work.true.local_s)
    return Scenario(
        links=links,
        edge=edge,
        work=work,
        true_moved=transfers.applied(moved),
        predicted_moved=transfers.applied(transfer(links.measured, work.predicted, algorithm)),
        history=histories(links.measured, np.cumsum(work.gap_s, axis=0)),
        reference_queue_s=0.0 * backlog_s if "local_queue" in config.without else backlog_s,
        battery=np.ones(lanes) if "battery" in config.without else charge,
    )


def _without(work: WorkloadSamples, switched_off: tuple[str, ...]) -> WorkloadSamples:
    true, predicted = work.true, work.predicted
    if "deadlines" in switched_off:
        never = np.full_like(predicted.deadline_s, np.inf)
        true, predicted = replace(true, deadline_s=never), replace(predicted, deadline_s=never)
    if "task_spread" in switched_off:
        true = predicted
    return replace(work, true=true, predicted=predicted)
