"""Synthetic links: how a link moves around its profile, and what the device measures of it.

Truth: ln(rate) of each direction and ln(RTT) deviate from the profile by an amount of the episode's
own, and by two Ornstein-Uhlenbeck processes, a slow one and a fast one, whose size differs between
episodes too. A two-state Markov chain in continuous time switches disturbances on and off (a
handover, a burst, at worst nearly an outage), in which the rates fall, the RTT rises and packets
are lost; how bad a disturbance is stays so until it ends.

Estimate: the device measured the link at its last probe, ``age_s`` before it decides. The processes
are drawn at the moments of probes and of decisions alike, so truth and estimate are values of one
path, and decisions between two probes know the same; measurement noise comes on top.

How far and how fast a link moves is fitted to measured ones by ``benchmarks/fit_link_process.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from envs.config import LinkProcessConfig
from envs.probe_times import ProbeTimes
from envs.stochastic import episodes, ornstein_uhlenbeck
from offload.energy_model import RADIO_NAMES
from offload.link_profiles import get_profile
from offload.types import FloatArray, IntArray, LinkState

UNLIMITED_BPS = 1e9
"""Rate of a link without a set rate: about what the hosts and backends carry unshaped."""
MIN_RTT_S = 3e-4
"""RTT of a link without a set delay."""
MAX_LOSS = 0.9
"""However bad a disturbance, so many packets are lost at most."""


@dataclass(frozen=True, slots=True)
class LinkSamples:
    """A block of link states; every array has shape (steps, lanes) unless said otherwise.

    Attributes:
        true: the link at the moment of each decision.
        measured: what the device believes at that moment.
        profile: index into the configured profiles, shape (lanes,).
        radio: index into RADIO_NAMES, shape (lanes,).
    """

    true: LinkState
    measured: LinkState
    profile: IntArray
    radio: IntArray


@dataclass(frozen=True, slots=True)
class _ProfileTable:
    """The configured profiles as columns, shape (profiles,)."""

    uplink_bps: FloatArray
    downlink_bps: FloatArray
    rtt_s: FloatArray
    jitter_s: FloatArray
    loss: FloatArray
    radio: IntArray

    @classmethod
    def of(cls, names: tuple[str, ...]) -> _ProfileTable:
        profiles = [get_profile(name) for name in names]
        return cls(
            uplink_bps=np.array([p.uplink.rate_bps or UNLIMITED_BPS for p in profiles]),
            downlink_bps=np.array([p.downlink.rate_bps or UNLIMITED_BPS for p in profiles]),
            rtt_s=np.array(
                [max(p.uplink.delay_s + p.downlink.delay_s, MIN_RTT_S) for p in profiles]
            ),
            # The two directions vary independently, so their variances add.
            jitter_s=np.array([np.hypot(p.uplink.jitter_s, p.downlink.jitter_s) for p in profiles]),
            loss=np.array([(p.uplink.loss + p.downlink.loss) / 2 for p in profiles]),
            radio=np.array([RADIO_NAMES.index(p.radio) for p in profiles]),
        )


@dataclass(frozen=True, slots=True)
class LinkPath:
    """How links move around their profile, as factors; every array has shape (rows, lanes).

    Attributes:
        uplink, downlink: rate over the profile's.
        rtt: RTT over the profile's.
        severity: of the disturbance, in (0, 1]; 0: none.
    """

    uplink: FloatArray
    downlink: FloatArray
    rtt: FloatArray
    severity: FloatArray


def _two_speed(
    rng: Generator,
    config: LinkProcessConfig,
    gap_s: FloatArray,
    *,
    spread: float,
    sigma: float,
    memory_s: float,
    fast_share: float,
    fast_memory_s: float,
) -> FloatArray:
    """The deviation of a logarithm from the profile's: an episode's own, a slow and a fast part."""
    lanes = gap_s.shape[1]
    own = spread * rng.standard_normal(lanes)
    # Scaled so that the mean of its square over episodes is 1.
    log_volatility = config.volatility_sigma * rng.standard_normal(lanes)
    sigma_here = sigma * np.exp(log_volatility - config.volatility_sigma**2)
    slow = ornstein_uhlenbeck(rng, gap_s, np.sqrt(1.0 - fast_share) * sigma_here, memory_s)
    fast = ornstein_uhlenbeck(rng, gap_s, np.sqrt(fast_share) * sigma_here, fast_memory_s)
    return own + slow + fast


def draw_path(rng: Generator, config: LinkProcessConfig, gap_s: FloatArray) -> LinkPath:
    """Draw how links move.

    Args:
        gap_s: time since the row before, shape (rows, lanes).
    """

    def rate() -> FloatArray:
        return _two_speed(
            rng,
            config,
            gap_s,
            spread=config.rate_spread,
            sigma=config.rate_sigma,
            memory_s=config.rate_memory_s,
            fast_share=config.rate_fast_share,
            fast_memory_s=config.rate_fast_memory_s,
        )

    severity = episodes(rng, gap_s, config.disturbance_every_s, config.disturbance_lasts_s)
    fall = np.log(config.disturbance_rate_floor) * severity
    rise = np.log(config.disturbance_rtt_peak) * severity
    rtt = _two_speed(
        rng,
        config,
        gap_s,
        spread=config.rtt_spread,
        sigma=config.rtt_sigma,
        memory_s=config.rtt_memory_s,
        fast_share=config.rtt_fast_share,
        fast_memory_s=config.rtt_fast_memory_s,
    )
    return LinkPath(np.exp(rate() + fall), np.exp(rate() + fall), np.exp(rtt + rise), severity)


def measure(
    rng: Generator, config: LinkProcessConfig, at_probes: LinkState, probes: ProbeTimes
) -> LinkState:
    """What the device knows at each decision: the link at its last probe, with that probe's noise.

    Args:
        at_probes: the link at the rows 2k of ``probes.gap_s``, arrays of shape (steps, lanes).
    """

    def noisy(value: FloatArray, sigma: float) -> FloatArray:
        return probes.at_last_probe(value * np.exp(sigma * rng.standard_normal(value.shape)))

    packets = config.loss_probe_packets
    lost = np.asarray(rng.binomial(packets, at_probes.loss)) / packets
    return LinkState(
        rtt_s=noisy(at_probes.rtt_s, config.rtt_noise),
        jitter_s=noisy(at_probes.jitter_s, config.jitter_noise),
        loss=probes.at_last_probe(lost),
        uplink_bps=noisy(at_probes.uplink_bps, config.rate_noise),
        downlink_bps=noisy(at_probes.downlink_bps, config.rate_noise),
        age_s=probes.age_s,
    )


def draw_links(
    rng: Generator, config: LinkProcessConfig, profiles: tuple[str, ...], probes: ProbeTimes
) -> LinkSamples:
    """Draw a block of links.

    Args:
        profiles: names of the profiles; each lane draws one for the whole block.
        probes: when the device decides, and when it measured.
    """
    lanes = probes.gap_s.shape[1]
    table = _ProfileTable.of(profiles)
    profile: IntArray = rng.integers(len(profiles), size=(lanes,))
    path = draw_path(rng, config, probes.gap_s)

    def state(rows: slice) -> LinkState:
        peak = config.disturbance_rtt_peak ** path.severity[rows]
        loss = table.loss[profile] + config.disturbance_loss * path.severity[rows]
        return LinkState(
            rtt_s=table.rtt_s[profile] * path.rtt[rows],
            jitter_s=table.jitter_s[profile] * peak,
            loss=np.minimum(loss, MAX_LOSS),
            uplink_bps=table.uplink_bps[profile] * path.uplink[rows],
            downlink_bps=table.downlink_bps[profile] * path.downlink[rows],
            age_s=np.zeros_like(path.rtt[rows]),
        )

    measured = measure(rng, config, state(slice(0, None, 2)), probes)
    return LinkSamples(
        state(slice(1, None, 2)), measured, profile, np.asarray(table.radio[profile])
    )
