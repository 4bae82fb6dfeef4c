"""How a link moves around its profile.

ln(rate) of each direction and ln(RTT) deviate from the profile's by an amount of the episode's own,
and by an Ornstein-Uhlenbeck process whose size differs between episodes too; of the RTT's a part is
quick. A two-state Markov chain in continuous time switches disturbances on and off (a handover, a
burst, at worst nearly an outage), in which the rates fall, the RTT rises and packets are lost; how
bad a disturbance is stays so until it ends.

How far and how fast all this goes is fitted by ``benchmarks/fit_link_process.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from envs.config import LinkProcessConfig
from envs.stochastic import episodes, ornstein_uhlenbeck
from offload.types import FloatArray


@dataclass(frozen=True, slots=True)
class LinkPath:
    """How links move around their profile, as factors; every array has shape (rows, lanes).

    Attributes:
        uplink, downlink: rate over the profile's, without disturbance.
        rtt: RTT over the profile's, without disturbance.
        severity: of the disturbance, in (0, 1]; 0: none.
    """

    uplink: FloatArray
    downlink: FloatArray
    rtt: FloatArray
    severity: FloatArray


def _own_size(rng: Generator, config: LinkProcessConfig, sigma: float, lanes: int) -> FloatArray:
    """How much each lane's link moves; the mean of its square over lanes is that of sigma."""
    log_volatility = config.volatility_sigma * rng.standard_normal(lanes)
    size: FloatArray = sigma * np.exp(log_volatility - config.volatility_sigma**2)
    return size


def draw_path(rng: Generator, config: LinkProcessConfig, gap_s: FloatArray) -> LinkPath:
    """Draw how links move.

    Args:
        gap_s: time since the row before, shape (rows, lanes).
    """
    lanes = gap_s.shape[1]

    def log_rate() -> FloatArray:
        size = _own_size(rng, config, config.rate_sigma, lanes)
        own = config.rate_spread * rng.standard_normal(lanes)
        return own + ornstein_uhlenbeck(rng, gap_s, size, config.rate_memory_s)

    def log_rtt() -> FloatArray:
        size = _own_size(rng, config, config.rtt_sigma, lanes)
        fast, slow = np.sqrt(config.rtt_fast_share), np.sqrt(1.0 - config.rtt_fast_share)
        return (
            config.rtt_spread * rng.standard_normal(lanes)
            + ornstein_uhlenbeck(rng, gap_s, slow * size, config.rtt_memory_s)
            + ornstein_uhlenbeck(rng, gap_s, fast * size, config.rtt_fast_memory_s)
        )

    return LinkPath(
        uplink=np.exp(log_rate()),
        downlink=np.exp(log_rate()),
        rtt=np.exp(log_rtt()),
        severity=episodes(rng, gap_s, config.disturbance_every_s, config.disturbance_lasts_s),
    )
