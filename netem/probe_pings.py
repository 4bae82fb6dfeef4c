"""How many pings a measurement sends, and how far apart."""

from __future__ import annotations

import math
import time

from netem.estimator import LinkTracker
from netem.ping_run import PingRun
from netem.probe_exchange import ASK_AGAIN_S, ProbeExchange

MOST_PINGS = 60
RTT_ERROR = 0.05
LEAST_RTT_ERROR_S = 1e-4
"""A measurement goes on pinging until the RTT's standard error is this share of it, or this."""
_FIRST_SPACING_S = 0.02
_LIKELY_JITTER = 0.3
"""Of the RTT: more than most links have, less than a busy Wi-Fi."""
_JITTER_SAMPLES = 8
_LAST_PONGS_S = 0.5
"""Waited for the last answers of a link whose RTT is not known."""


def ping_enough(
    exchange: ProbeExchange,
    tracker: LinkTracker,
    least: int,
    *,
    until: float,
    deadline: float,
    greeting_s: float,
) -> PingRun:
    """The least number of pings, and more until RTT is known well enough or time is over.

    Where none came back, as in a burst of losses counted in packets, more until the deadline.

    Args:
        tracker: what is known of the link so far; the exchange tells it of each answer.
        least: pings sent in any case.
        until: when pinging for a better RTT ends; both times are of ``time.monotonic``.
        deadline: when all has to be over.
        greeting_s: round-trip time of the greeting; NaN: there was none.
    """

    def more(run: PingRun) -> bool:
        if run.sent < least:
            return True
        if run.sent >= MOST_PINGS:
            return False
        if not run.rtts_s:
            return time.monotonic() < deadline - _LAST_PONGS_S
        found = tracker.estimate().rtt
        is_enough = found.sd <= max(RTT_ERROR * found.value, LEAST_RTT_ERROR_S)
        return not is_enough and time.monotonic() < until

    def spacing_s(run: PingRun) -> float:
        if run.sent >= least and not run.rtts_s:
            return ASK_AGAIN_S
        found = tracker.estimate()
        is_known = found.jitter.samples >= _JITTER_SAMPLES
        rtt_s = greeting_s if math.isnan(found.rtt.value) else found.rtt.value
        return ping_spacing_s(rtt_s, found.jitter.value if is_known else math.nan)

    found = tracker.estimate()
    known_s = found.rtt.value + 4 * found.jitter.value
    patience_s = _LAST_PONGS_S if math.isnan(known_s) else 0.2 + known_s
    return exchange.echo(more, spacing_s, patience_s)


def ping_spacing_s(rtt_s: float, jitter_s: float) -> float:
    """Time between the pings of a measurement; a jitter of NaN: not known yet, an RTT of NaN: none.

    A link that keeps packets in order holds up one that would overtake. Twice the jitter of the
    round trip apart, 2.8 times that of one direction, the mean of each direction is high by 1 % of
    its jitter; 0.9 times apart by 16 %.
    """
    if math.isnan(rtt_s):
        return _FIRST_SPACING_S
    wanted_s = _LIKELY_JITTER * rtt_s if math.isnan(jitter_s) else jitter_s
    return min(0.12, max(0.01, 0.25 * min(rtt_s, 0.24), 2.0 * wanted_s))
