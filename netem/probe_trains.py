"""A packet train in either direction: how long, what it found, and how sure that is."""

from __future__ import annotations

import math
import time

from netem.estimator import LinkTracker
from netem.probe_exchange import ProbeExchange, train_packets
from netem.probe_wire import HEADERS_BYTES, MAX_TRAIN_PACKETS, TRAIN_BYTES

LEAST_SD = 0.03
MAX_TRAINS = 3


def train_seconds(jitter_s: float) -> float:
    """Length of a train at its bottleneck.

    Long enough for jitter before the queue to even out, short enough not to overflow it.
    """
    return min(0.25, max(0.03, 4.5 * jitter_s))


def train_sd(packets: int, rate_bps: float, jitter_s: float) -> float:
    """Standard deviation of ln(rate found / rate) of a train of that length."""
    seconds = packets * 8 * (TRAIN_BYTES + HEADERS_BYTES) / rate_bps
    return math.hypot(LEAST_SD, 0.25 * jitter_s / seconds)


def send_train(
    exchange: ProbeExchange, packets: int, deadline: float, jitter_s: float, *, uplink: bool
) -> float:
    """One train; returns the rate found in bit/s, 0.0 where too little of it came through."""
    if uplink:
        return exchange.uplink_train(packets, deadline)
    return exchange.downlink_train(packets, deadline, idle_s=2 * jitter_s + 0.03)


def find_rate(
    exchange: ProbeExchange,
    tracker: LinkTracker,
    first_bps: float,
    deadline: float,
    jitter_s: float,
    *,
    uplink: bool,
) -> float:
    """Trains in one direction until one was long enough for the rate it found.

    Args:
        first_bps: rate the first train is made for; 0: not known.

    Returns:
        The rate in bit/s, which the tracker is told; 0.0 where no train came through in time.
    """
    rate_bps, packets = 0.0, 0
    for _ in range(MAX_TRAINS):
        needed = train_packets(rate_bps or first_bps, train_seconds(jitter_s))
        if packets >= needed or time.monotonic() >= deadline:
            break
        # A little more than needed, so that a rate found somewhat higher is fine too.
        tried = min(MAX_TRAIN_PACKETS, needed + needed // 4)
        found_bps = send_train(exchange, tried, deadline, jitter_s, uplink=uplink)
        if found_bps > 0.0:
            rate_bps, packets = found_bps, tried
    if rate_bps > 0.0:
        tracker.saw_rate(rate_bps, train_sd(packets, rate_bps, jitter_s), uplink=uplink)
    return rate_bps
