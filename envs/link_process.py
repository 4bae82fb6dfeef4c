"""Synthetic links: profiles that move (:mod:`envs.link_path`), and what the device knows of them.

Estimate: the device measured the link at its last probe, ``age_s`` before it decides. The processes
are drawn at the moments of probes and of decisions alike, so truth and estimate are values of one
path, and decisions between two probes know the same; measurement noise comes on top.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from envs.config import LinkProcessConfig
from envs.link_motion import LinkMotion, calm_after_s, links_along
from envs.link_path import draw_path, path_later
from envs.probe_times import ProbeTimes
from offload.cost_model import transfer
from offload.energy_model import RADIO_NAMES
from offload.link_profiles import get_profile
from offload.types import FloatArray, IntArray, LinkState, TaskProfile, Transfer

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
    lost = at_probes.loss
    if packets > 0:
        lost = np.asarray(rng.binomial(packets, at_probes.loss)) / packets
    return LinkState(
        rtt_s=noisy(at_probes.rtt_s, config.rtt_noise),
        jitter_s=noisy(at_probes.jitter_s, config.jitter_noise),
        loss=probes.at_last_probe(lost),
        uplink_bps=noisy(at_probes.uplink_bps, config.rate_noise),
        downlink_bps=noisy(at_probes.downlink_bps, config.rate_noise),
        age_s=probes.age_s,
    )


@dataclass(frozen=True, slots=True)
class Calm:
    """What the link is without its disturbance; every array has shape (steps, lanes).

    Attributes:
        uplink_bps, downlink_bps: rates without it.
        after_s: time from the decision until it ends; 0: there is none.
    """

    uplink_bps: FloatArray
    downlink_bps: FloatArray
    after_s: FloatArray


def draw_motion(
    rng: Generator, config: LinkProcessConfig, profiles: tuple[str, ...], gap_s: FloatArray
) -> LinkMotion:
    """Draw how a block of links moves.

    Args:
        profiles: names of the profiles; each lane draws one for the whole block.
        gap_s: time since the row before, shape (rows, lanes).
    """
    lanes = gap_s.shape[1]
    table = _ProfileTable.of(profiles)
    profile: IntArray = rng.integers(len(profiles), size=(lanes,))
    still = LinkState(
        rtt_s=table.rtt_s[profile],
        jitter_s=table.jitter_s[profile],
        loss=table.loss[profile],
        uplink_bps=table.uplink_bps[profile],
        downlink_bps=table.downlink_bps[profile],
    )
    radio = np.asarray(table.radio[profile])
    return LinkMotion(profile, radio, still, draw_path(rng, config, gap_s))


def moving_links(
    rng: Generator, config: LinkProcessConfig, motion: LinkMotion, probes: ProbeTimes
) -> tuple[LinkSamples, Calm]:
    """Links that move so, and what the device measures of them.

    Args:
        probes: when the device decides, and when it measured.
    """
    everywhen, uplink_bps, downlink_bps = links_along(config, motion.still, motion.path)
    at_probes, decided = slice(0, None, 2), slice(1, None, 2)
    after_s = calm_after_s(rng, config, motion.path.severity[decided])
    links = LinkSamples(
        true=_rows(everywhen, decided),
        measured=measure(rng, config, _rows(everywhen, at_probes), probes),
        profile=motion.profile,
        radio=motion.radio,
    )
    return links, Calm(uplink_bps[decided], downlink_bps[decided], after_s)


def draw_links(
    rng: Generator, config: LinkProcessConfig, profiles: tuple[str, ...], probes: ProbeTimes
) -> tuple[LinkSamples, Calm]:
    """Draw a block of links.

    Args:
        profiles: names of the profiles; each lane draws one for the whole block.
        probes: when the device decides, and when it measured.
    """
    motion = draw_motion(rng, config, profiles, probes.gap_s)
    return moving_links(rng, config, motion, probes)


def links_later(
    rng: Generator,
    config: LinkProcessConfig,
    motion: LinkMotion,
    known_row: IntArray,
    after_s: FloatArray,
) -> tuple[LinkState, Calm]:
    """Draw links anew, some time after a moment at which everything of them is known.

    Args:
        known_row: row of the path at that moment, shape (lanes,).
        after_s: time since then, shape (lanes,).

    Returns:
        The links, and what they are without disturbance; arrays of shape (lanes,).
    """
    path = path_later(rng, config, motion.path.at(known_row), after_s)
    link, uplink_bps, downlink_bps = links_along(config, motion.still, path)
    return link, Calm(uplink_bps, downlink_bps, calm_after_s(rng, config, path.severity))


def _rows(link: LinkState, rows: slice) -> LinkState:
    return LinkState(*(getattr(link, name)[rows] for name in LinkState.__slots__))


def synthetic_transfer(
    calm: Calm,
    link: LinkState,
    task: TaskProfile,
    edge_queue_s: FloatArray,
    congestion_control: str,
) -> Transfer:
    """Both transfers of a remote run over links whose disturbance ends, perhaps meanwhile.

    Each direction's rate is the mean over the time in which the link carries its bits. RTT and loss
    stay those of the decision, and so does the slow movement; no disturbance begins meanwhile.

    Args:
        link: the true links at the decisions.
        task, edge_queue_s: what the run really takes.
    """
    up_s = _carry_s(link.uplink_bps, calm.uplink_bps, calm.after_s, task.input_bytes)
    left_s = np.maximum(calm.after_s - up_s - edge_queue_s - task.edge_s, 0.0)
    down_s = _carry_s(link.downlink_bps, calm.downlink_bps, left_s, task.output_bytes)
    means = replace(
        link,
        uplink_bps=8.0 * task.input_bytes / up_s,
        downlink_bps=8.0 * task.output_bytes / down_s,
    )
    return transfer(means, task, congestion_control)


def _carry_s(
    disturbed_bps: FloatArray, calm_bps: FloatArray, calm_after_s: FloatArray, n_bytes: FloatArray
) -> FloatArray:
    """Seconds in which a link carries so many bytes, first at the one rate, then at the other."""
    n_bits = 8.0 * np.maximum(n_bytes, 1.0)
    disturbed_bits = np.minimum(disturbed_bps * calm_after_s, n_bits)
    return np.minimum(calm_after_s, n_bits / disturbed_bps) + (n_bits - disturbed_bits) / calm_bps
