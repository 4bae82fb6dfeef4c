"""How busy others keep the edge server, and what the device knows of it.

Contention is hidden: an on/off process says whether others use the server, a log-normal one how
long a remote run then waits. A probe of the server says how long a run would wait at that moment,
so what the device knows is as old as its last probe; a remote run that comes back says so too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.random import Generator

from envs.config import EdgeProcessConfig
from envs.probe_times import ProbeTimes
from envs.stochastic import (
    ornstein_uhlenbeck,
    ornstein_uhlenbeck_later,
    two_state_chain,
    two_state_chain_later,
)
from offload.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class EdgeSamples:
    """A block of edge states; every array has shape (steps, lanes).

    Attributes:
        queue_s: queueing a remote run meets at the moment of the decision.
        probed_queue_s: what it was when the device last probed.
    """

    queue_s: FloatArray
    probed_queue_s: FloatArray


@dataclass(frozen=True, slots=True)
class EdgeMotion:
    """What is hidden of a block of edges; rows as in :attr:`envs.probe_times.ProbeTimes.gap_s`.

    Attributes:
        busy_share: share of time in which others use the edge, shape (lanes,).
        busy: whether they do, 0 or 1, shape (rows, lanes).
        log_queue: ln(queueing while they do / its median), shape (rows, lanes).
    """

    busy_share: FloatArray
    busy: FloatArray
    log_queue: FloatArray


def draw_edge_motion(rng: Generator, config: EdgeProcessConfig, gap_s: FloatArray) -> EdgeMotion:
    """Draw how busy others keep a block of edges; each lane has a share of busy time of its own.

    Args:
        gap_s: time since the row before, shape (rows, lanes).
    """
    busy_share = rng.uniform(0.0, config.busy_share_high, gap_s.shape[1:])
    busy = two_state_chain(rng, gap_s, busy_share, config.memory_s)
    log_queue = ornstein_uhlenbeck(rng, gap_s, config.queue_sigma, config.memory_s)
    return EdgeMotion(busy_share, busy, log_queue)


def edge_of_motion(
    config: EdgeProcessConfig, motion: EdgeMotion, probes: ProbeTimes
) -> EdgeSamples:
    """Edges that move so, and what the device knows of them."""
    queue_s = _queue_s(config, motion.busy, motion.log_queue)
    return EdgeSamples(queue_s=queue_s[1::2], probed_queue_s=probes.at_last_probe(queue_s[0::2]))


def draw_edge(rng: Generator, config: EdgeProcessConfig, probes: ProbeTimes) -> EdgeSamples:
    """Draw a block of edge states."""
    return edge_of_motion(config, draw_edge_motion(rng, config, probes.gap_s), probes)


DrawEdges: TypeAlias = Callable[[Generator, EdgeProcessConfig, ProbeTimes], EdgeSamples]
"""A way to draw a block of edge states, such as :func:`draw_edge`."""


def edge_queue_later(
    rng: Generator,
    config: EdgeProcessConfig,
    motion: EdgeMotion,
    known_row: IntArray,
    after_s: FloatArray,
) -> FloatArray:
    """Draw the queueing anew, some time after a moment at which all that is hidden is known.

    Args:
        known_row: row at that moment, shape (lanes,).
        after_s: time since then, shape (lanes,).

    Returns:
        Seconds, shape (lanes,).
    """
    lanes = np.arange(len(known_row))
    busy, log_queue = motion.busy[known_row, lanes], motion.log_queue[known_row, lanes]
    return _queue_s(
        config,
        two_state_chain_later(rng, busy, after_s, motion.busy_share, config.memory_s),
        ornstein_uhlenbeck_later(rng, log_queue, after_s, config.queue_sigma, config.memory_s),
    )


def _queue_s(config: EdgeProcessConfig, busy: FloatArray, log_queue: FloatArray) -> FloatArray:
    return busy * config.queue_median_s * np.exp(log_queue)
