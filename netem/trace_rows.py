"""A link trace's rows as profiles that a link can be set to, and what that leaves out."""

from __future__ import annotations

import numpy as np

from offload.link_trace import LinkTrace
from offload.types import DirectionProfile, LinkProfile

MEAN_BURST_PACKETS = 2.0
"""Mean length of a burst of losses; a trace knows shares alone. Most profiles have the same."""
MIN_RATE_BPS = 100e3
"""Least rate set, for outages too: what waits leaves at the rate of the moment it came to the head
of the queue, so at a lower one a single frame would hold up the link long after the outage."""
MAX_QUEUE_S = 60.0
FIRST_MAX_RATE_BPS = 200e6
"""Bound of :func:`first_profile`: the slowest packet backend carries so much."""


class TraceRows:
    """A trace's rows as profiles for a link.

    Rates are kept between :data:`MIN_RATE_BPS` and ``max_rate_bps``. A buffer holds bytes, not
    seconds: its size is what the base profile's queue holds at the trace's median rate, whatever
    the row. Loss is Gilbert-Elliott with bursts of :data:`MEAN_BURST_PACKETS` on average, longer
    only where a share above two thirds needs it.
    """

    def __init__(self, trace: LinkTrace, max_rate_bps: float) -> None:
        self._trace = trace
        self._up_bps = np.clip(trace.uplink_bps, MIN_RATE_BPS, max_rate_bps)
        self._down_bps = np.clip(trace.downlink_bps, MIN_RATE_BPS, max_rate_bps)
        self._up_buffer_bits = float(np.median(self._up_bps)) * trace.base.uplink.queue_s
        self._down_buffer_bits = float(np.median(self._down_bps)) * trace.base.downlink.queue_s

    def profile(self, row: int) -> LinkProfile:
        """What a link is told to be in that row."""
        trace = self._trace
        return LinkProfile(
            name=trace.name,
            uplink=_direction(
                float(self._up_bps[row]),
                float(trace.uplink_delay_s[row]),
                float(trace.uplink_loss[row]),
                self._up_buffer_bits,
            ),
            downlink=_direction(
                float(self._down_bps[row]),
                float(trace.downlink_delay_s[row]),
                float(trace.downlink_loss[row]),
                self._down_buffer_bits,
            ),
            radio=trace.radio,
            source=trace.source,
        )


def _direction(
    rate_bps: float, delay_s: float, loss: float, buffer_bits: float
) -> DirectionProfile:
    leave = 1.0 / MEAN_BURST_PACKETS
    if loss > 0.0:
        leave = min(leave, (1.0 - loss) / loss)
    enter = leave * loss / (1.0 - loss) if loss < 1.0 else 1.0
    return DirectionProfile(
        rate_bps=float(round(rate_bps)),
        delay_s=round(delay_s, 6),
        jitter_s=0.0,
        loss_enter=round(enter, 6),
        loss_leave=round(leave, 6),
        queue_s=min(buffer_bits / rate_bps, MAX_QUEUE_S),
    )


def first_profile(trace: LinkTrace) -> LinkProfile:
    """What to open a link with that is to replay the trace: its first row, for any backend."""
    return TraceRows(trace, FIRST_MAX_RATE_BPS).profile(0)


def departures(trace: LinkTrace, max_rate_bps: float) -> tuple[str, ...]:
    """Where a replay cannot do what the trace says, in words; empty where it can."""
    said = []
    for name, rates in (("uplink", trace.uplink_bps), ("downlink", trace.downlink_bps)):
        above = int(np.count_nonzero(rates > max_rate_bps))
        below = int(np.count_nonzero(rates < MIN_RATE_BPS))
        if above:
            said.append(
                f"{name}: {above} of {trace.rows} rows clipped to {max_rate_bps / 1e6:g} Mbit/s,"
                " the most that the backend carries"
            )
        if below:
            said.append(
                f"{name}: {below} of {trace.rows} rows raised to {MIN_RATE_BPS / 1e3:g} kbit/s,"
                " the least that is set"
            )
    return tuple(said)
