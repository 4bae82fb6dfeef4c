"""The link as last measured, with an assumption where nothing was measured yet."""

from __future__ import annotations

import math
from dataclasses import replace

from offload.interfaces import LinkEstimator
from offload.types import NEVER_S, LinkState

ASSUMED = LinkState(rtt_s=0.05, jitter_s=0.005, loss=0.0, uplink_bps=10e6, downlink_bps=20e6)
"""What a link is taken to be until it has been used: a middling mobile one."""


class KnownLink:
    """A :class:`offload.interfaces.LinkEstimator` without holes.

    Args:
        measured: gives NaN for what it never measured.
    """

    def __init__(self, measured: LinkEstimator) -> None:
        self._measured = measured

    def state(self) -> LinkState:
        """The newest estimate; quantities never measured are :data:`ASSUMED`.

        A downlink that carried nothing yet is taken to be as fast as the uplink at least.
        """
        link = self._measured.state()
        assumed = {
            name: getattr(ASSUMED, name)
            for name in ("rtt_s", "jitter_s", "loss", "uplink_bps", "downlink_bps")
            if not math.isfinite(getattr(link, name))
        }
        if "downlink_bps" in assumed and "uplink_bps" not in assumed:
            assumed["downlink_bps"] = max(link.uplink_bps, ASSUMED.downlink_bps)
        return replace(link, age_s=min(float(link.age_s), NEVER_S), **assumed)

    def measured(self) -> LinkState:
        """The newest estimate, NaN where nothing was measured."""
        return self._measured.state()
