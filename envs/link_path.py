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
from envs.stochastic import (
    episodes,
    episodes_later,
    ornstein_uhlenbeck,
    ornstein_uhlenbeck_later,
)
from offload.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Wander:
    """One Ornstein-Uhlenbeck process.

    Attributes:
        value: where it is, shape (rows, lanes), or (lanes,) at one moment.
        sigma: its standard deviation, shape (lanes,).
        memory_s: its correlation time.
    """

    value: FloatArray
    sigma: FloatArray
    memory_s: float


@dataclass(frozen=True, slots=True)
class Deviation:
    """ln(quantity / the profile's), in its parts.

    Attributes:
        own: the episode's own, shape (lanes,).
        wanders: what moves within the episode.
    """

    own: FloatArray
    wanders: tuple[Wander, ...]

    def factor(self) -> FloatArray:
        """The quantity over the profile's."""
        total = self.own
        for wander in self.wanders:
            total = total + wander.value
        found: FloatArray = np.exp(total)
        return found


@dataclass(frozen=True, slots=True)
class LinkPath:
    """How links move around their profile.

    Arrays have shape (rows, lanes), or (lanes,) at one moment.

    Attributes:
        log_uplink, log_downlink, log_rtt: deviations, without disturbance.
        severity: of the disturbance, in (0, 1]; 0: none.
    """

    log_uplink: Deviation
    log_downlink: Deviation
    log_rtt: Deviation
    severity: FloatArray

    @property
    def uplink(self) -> FloatArray:
        """Rate over the profile's, without disturbance."""
        return self.log_uplink.factor()

    @property
    def downlink(self) -> FloatArray:
        """Rate over the profile's, without disturbance."""
        return self.log_downlink.factor()

    @property
    def rtt(self) -> FloatArray:
        """RTT over the profile's, without disturbance."""
        return self.log_rtt.factor()

    def at(self, row: IntArray) -> LinkPath:
        """One moment of each lane's: the row named for it, shape (lanes,)."""
        lane = np.arange(len(row))

        def moment(deviation: Deviation) -> Deviation:
            wanders = (Wander(w.value[row, lane], w.sigma, w.memory_s) for w in deviation.wanders)
            return Deviation(deviation.own, tuple(wanders))

        return LinkPath(
            moment(self.log_uplink),
            moment(self.log_downlink),
            moment(self.log_rtt),
            self.severity[row, lane],
        )


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

    def wander(sigma: FloatArray, memory_s: float) -> Wander:
        return Wander(ornstein_uhlenbeck(rng, gap_s, sigma, memory_s), sigma, memory_s)

    def log_rate() -> Deviation:
        size = _own_size(rng, config, config.rate_sigma, lanes)
        own = config.rate_spread * rng.standard_normal((lanes,))
        return Deviation(own, (wander(size, config.rate_memory_s),))

    def log_rtt() -> Deviation:
        size = _own_size(rng, config, config.rtt_sigma, lanes)
        fast, slow = np.sqrt(config.rtt_fast_share), np.sqrt(1.0 - config.rtt_fast_share)
        own = config.rtt_spread * rng.standard_normal((lanes,))
        slowly = wander(slow * size, config.rtt_memory_s)
        return Deviation(own, (slowly, wander(fast * size, config.rtt_fast_memory_s)))

    return LinkPath(
        log_uplink=log_rate(),
        log_downlink=log_rate(),
        log_rtt=log_rtt(),
        severity=episodes(rng, gap_s, config.disturbance_every_s, config.disturbance_lasts_s),
    )


def path_later(
    rng: Generator, config: LinkProcessConfig, now: LinkPath, after_s: FloatArray
) -> LinkPath:
    """Draw where links are some time after a moment at which everything of them is known.

    Args:
        now: that moment, arrays of shape (lanes,).
        after_s: time since then, shape (lanes,).
    """

    def later(deviation: Deviation) -> Deviation:
        wanders = tuple(
            Wander(
                ornstein_uhlenbeck_later(rng, w.value, after_s, w.sigma, w.memory_s),
                w.sigma,
                w.memory_s,
            )
            for w in deviation.wanders
        )
        return Deviation(deviation.own, wanders)

    return LinkPath(
        log_uplink=later(now.log_uplink),
        log_downlink=later(now.log_downlink),
        log_rtt=later(now.log_rtt),
        severity=episodes_later(
            rng, now.severity, after_s, config.disturbance_every_s, config.disturbance_lasts_s
        ),
    )
