"""Links made for one test each: a direction has no jitter and no loss but for what is named."""

from __future__ import annotations

import dataclasses

from offload.types import DirectionProfile, LinkProfile


def one(rate_bps: float | None = None, delay_s: float = 0.0, **more: float) -> DirectionProfile:
    plain = DirectionProfile(rate_bps, delay_s, 0.0, 0.0, 1.0, 0.1)
    return dataclasses.replace(plain, **more)


def profile(uplink: DirectionProfile, downlink: DirectionProfile) -> LinkProfile:
    return LinkProfile("test", uplink, downlink, "wifi", "test")
