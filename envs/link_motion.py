"""What moves a block of synthetic links, all of it hidden from the device.

Each lane has a profile and a path around it (:mod:`envs.link_path`). The path is Markov: who knows
it exactly at one moment can know no more of the link afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from envs.config import LinkProcessConfig
from envs.link_path import LinkPath
from offload.types import FloatArray, IntArray, LinkState

MAX_LOSS = 0.9
"""However bad a disturbance, so many packets are lost at most."""


@dataclass(frozen=True, slots=True)
class LinkMotion:
    """A block of links: where each stands, and how it moves from there.

    Attributes:
        profile: index into the configured profiles, shape (lanes,).
        radio: index into RADIO_NAMES, shape (lanes,).
        still: the profiles' links, arrays of shape (lanes,).
        path: how they move, at the rows of :attr:`envs.probe_times.ProbeTimes.gap_s`.
    """

    profile: IntArray
    radio: IntArray
    still: LinkState
    path: LinkPath


def links_along(
    config: LinkProcessConfig, still: LinkState, path: LinkPath
) -> tuple[LinkState, FloatArray, FloatArray]:
    """The links at the places of a path, and their rates up and down without disturbance.

    Args:
        still: the profiles' links, arrays of shape (lanes,).
    """
    fall = config.disturbance_rate_floor**path.severity
    rise = config.disturbance_rtt_peak**path.severity
    uplink_bps = still.uplink_bps * path.uplink
    downlink_bps = still.downlink_bps * path.downlink
    links = LinkState(
        rtt_s=still.rtt_s * path.rtt * rise,
        jitter_s=still.jitter_s * rise,
        loss=np.minimum(still.loss + config.disturbance_loss * path.severity, MAX_LOSS),
        uplink_bps=uplink_bps * fall,
        downlink_bps=downlink_bps * fall,
        age_s=np.zeros_like(fall),
    )
    return links, uplink_bps, downlink_bps


def calm_after_s(rng: Generator, config: LinkProcessConfig, severity: FloatArray) -> FloatArray:
    """Draw how long disturbances of these severities still last; 0 where there is none."""
    # A stay of exponential length has as long to go, whenever it is looked at.
    to_go_s = rng.exponential(config.disturbance_lasts_s, severity.shape)
    return np.where(severity > 0.0, to_go_s, 0.0)
