"""Synthetic links: how a link moves around its profile, and what the device measures of it.

Truth: ln(rate) of each direction and ln(RTT) are Ornstein-Uhlenbeck processes around the profile,
so they revert to it and are stationary; a two-state Markov chain in continuous time switches
disturbances on and off (a handover, a burst, at worst nearly an outage), in which the rates fall,
the RTT rises and packets are lost.

Estimate: the device measured the link ``age_s`` before it decides. Both processes are reversible in
time, so the link at that earlier moment is drawn exactly from the same transition as a step forward
of the same length would be; measurement noise comes on top. Consecutive estimates are drawn
independently of one another given the truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from envs.config import LinkProcessConfig
from envs.stochastic import earlier_state, earlier_value, ornstein_uhlenbeck, two_state_chain
from offload.energy_model import RADIO_NAMES
from offload.link_profiles import get_profile
from offload.types import FloatArray, IntArray, LinkState

UNLIMITED_BPS = 1e9
"""Rate of a link without a set rate: about what the hosts and backends carry unshaped."""
MIN_RTT_S = 3e-4
"""RTT of a link without a set delay."""


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


def _noisy(rng: Generator, value: FloatArray, sigma: float) -> FloatArray:
    noisy: FloatArray = value * np.exp(sigma * rng.standard_normal(value.shape))
    return noisy


def draw_links(
    rng: Generator, config: LinkProcessConfig, profiles: tuple[str, ...], gap_s: FloatArray
) -> LinkSamples:
    """Draw a block of links.

    Args:
        profiles: names of the profiles; each lane draws one for the whole block.
        gap_s: time since the decision before, shape (steps, lanes).
    """
    steps, lanes = gap_s.shape
    table = _ProfileTable.of(profiles)
    profile: IntArray = rng.integers(len(profiles), size=(lanes,))
    up = ornstein_uhlenbeck(rng, gap_s, config.rate_sigma, config.rate_memory_s)
    down = ornstein_uhlenbeck(rng, gap_s, config.rate_sigma, config.rate_memory_s)
    rtt = ornstein_uhlenbeck(rng, gap_s, config.rtt_sigma, config.rtt_memory_s)

    on_share = config.disturbance_lasts_s / (
        config.disturbance_lasts_s + config.disturbance_every_s
    )
    memory_s = 1.0 / (1.0 / config.disturbance_lasts_s + 1.0 / config.disturbance_every_s)
    disturbed = two_state_chain(rng, gap_s, on_share, memory_s)
    severity = rng.random((steps, lanes))

    age_s = rng.exponential(config.estimate_age_s, (steps, lanes))
    was_disturbed = earlier_state(rng, disturbed, age_s, on_share, memory_s)

    def state(
        up_log: FloatArray, down_log: FloatArray, rtt_log: FloatArray, bad: FloatArray
    ) -> LinkState:
        # From a fifth of the rate down to a hundredth; RTT times 1.5 to 6 plus up to 150 ms.
        rate_factor = np.where(bad > 0, 0.2 * 0.05**severity, 1.0)
        rtt_factor = np.where(bad > 0, 1.5 * 4.0**severity, 1.0)
        return LinkState(
            rtt_s=table.rtt_s[profile] * np.exp(rtt_log) * rtt_factor + 0.15 * bad * severity,
            jitter_s=table.jitter_s[profile] * rtt_factor,
            loss=np.minimum(table.loss[profile] + bad * (0.01 + 0.19 * severity), 0.9),
            uplink_bps=table.uplink_bps[profile] * np.exp(up_log) * rate_factor,
            downlink_bps=table.downlink_bps[profile] * np.exp(down_log) * rate_factor,
            age_s=np.zeros((steps, lanes)),
        )

    before = state(
        earlier_value(rng, up, age_s, config.rate_sigma, config.rate_memory_s),
        earlier_value(rng, down, age_s, config.rate_sigma, config.rate_memory_s),
        earlier_value(rng, rtt, age_s, config.rtt_sigma, config.rtt_memory_s),
        was_disturbed,
    )
    measured = LinkState(
        rtt_s=_noisy(rng, before.rtt_s, config.rtt_noise),
        jitter_s=_noisy(rng, before.jitter_s, config.jitter_noise),
        loss=rng.binomial(config.loss_probe_packets, before.loss) / config.loss_probe_packets,
        uplink_bps=_noisy(rng, before.uplink_bps, config.rate_noise),
        downlink_bps=_noisy(rng, before.downlink_bps, config.rate_noise),
        age_s=age_s,
    )
    return LinkSamples(
        state(up, down, rtt, disturbed), measured, profile, np.asarray(table.radio[profile])
    )
