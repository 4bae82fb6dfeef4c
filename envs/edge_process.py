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
from envs.probe_times import ProbeTimes
from envs.stochastic import ornstein_uhlenbeck, two_state_chain
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


def draw_edge(rng: Generator, config: EdgeProcessConfig, probes: ProbeTimes) -> EdgeSamples:
    """Draw a block of edge states; each lane has a share of busy time of its own."""
    gap_s = probes.gap_s
    busy_share = rng.uniform(0.0, config.busy_share_high, gap_s.shape[1])
    busy = two_state_chain(rng, gap_s, busy_share, config.memory_s)
    log_queue = ornstein_uhlenbeck(rng, gap_s, config.queue_sigma, config.memory_s)
    queue_s = busy * config.queue_median_s * np.exp(log_queue)
    return EdgeSamples(queue_s=queue_s[1::2], probed_queue_s=probes.at_last_probe(queue_s[0::2]))
