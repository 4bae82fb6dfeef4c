"""How busy others keep the edge server, and what the device knows of it.

Contention is hidden: an on/off process says whether others use the server, a log-normal one how
long a remote run then waits. A probe of the server says how long a run would wait at that moment,
so what the device knows is as old as its last probe; a remote run that comes back says so too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from envs.config import EdgeProcessConfig
from envs.stochastic import earlier_state, earlier_value, ornstein_uhlenbeck, two_state_chain
from offload.types import FloatArray


@dataclass(frozen=True, slots=True)
class EdgeSamples:
    """A block of edge states; every array has shape (steps, lanes).

    Attributes:
        queue_s: queueing a remote run meets at the moment of the decision.
        probed_queue_s: what it was when the device last probed.
    """

    queue_s: FloatArray
    probed_queue_s: FloatArray


def draw_edge(
    rng: Generator, config: EdgeProcessConfig, gap_s: FloatArray, age_s: FloatArray
) -> EdgeSamples:
    """Draw a block of edge states; each lane has a share of busy time of its own.

    Args:
        gap_s: time since the decision before, shape (steps, lanes).
        age_s: time since the last probe, shape (steps, lanes).
    """
    busy_share = rng.uniform(0.0, config.busy_share_high, gap_s.shape[1])
    memory_s = config.memory_s
    busy = two_state_chain(rng, gap_s, busy_share, memory_s)
    was_busy = earlier_state(rng, busy, age_s, busy_share, memory_s)
    sigma = config.queue_sigma
    log_queue = ornstein_uhlenbeck(rng, gap_s, sigma, memory_s)
    was_log_queue = earlier_value(rng, log_queue, age_s, sigma, memory_s)
    return EdgeSamples(
        queue_s=busy * config.queue_median_s * np.exp(log_queue),
        probed_queue_s=was_busy * config.queue_median_s * np.exp(was_log_queue),
    )
