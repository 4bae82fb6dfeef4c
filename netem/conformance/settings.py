"""Links made for one check each."""

from __future__ import annotations

import dataclasses

from offload.types import DirectionProfile, LinkProfile

QUEUE_S = 0.2
"""Of a direction whose queue matters only in that there is one."""


def one_way(
    rate_bps: float | None = None, delay_s: float = 0.0, *, queue_s: float = QUEUE_S, **more: float
) -> DirectionProfile:
    """A direction without jitter and loss, but for what ``more`` names."""
    plain = DirectionProfile(rate_bps, delay_s, 0.0, 0.0, 1.0, queue_s)
    return dataclasses.replace(plain, **more)


def link_of(uplink: DirectionProfile, downlink: DirectionProfile) -> LinkProfile:
    """A profile of two directions, each its own."""
    return LinkProfile("conformance", uplink, downlink, "wifi", "conformance")
