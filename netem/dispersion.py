"""The rate of a bottleneck, from how far it spread a train of packets sent back to back."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

MIN_PACKETS = 6
"""Fewer arrivals say nothing."""


def train_rate_bps(arrivals_ns: Sequence[int], packet_bytes: int) -> float:
    """Rate at which a train left the bottleneck, in bit/s; 0.0 where it had too few packets.

    The median over the train's last three quarters of the rates between packets an eighth apart.
    The first quarter is left out: a token bucket lets its first packets through at line rate, and
    jitter before the queue can leave it empty until enough packets wait. The median shrugs off a
    stall in the middle. Packets lost before the queue took no time in it, so only arrivals count.

    Args:
        arrivals_ns: arrival times in nanoseconds, in order of arrival, from the kernel's clock.
        packet_bytes: length of each packet as the bottleneck counts it.
    """
    count = len(arrivals_ns)
    if count < MIN_PACKETS:
        return 0.0
    first = max(2, count // 4)
    lag = max(2, count // 8)
    spans_ns = [
        arrivals_ns[index + lag] - arrivals_ns[index] for index in range(first, count - lag)
    ]
    span_ns = median(spans_ns) if spans_ns else arrivals_ns[-1] - arrivals_ns[-1 - lag]
    return 8e9 * packet_bytes * lag / span_ns if span_ns > 0 else 0.0
