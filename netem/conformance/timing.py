"""Checks of when packets arrive: one-way delay, jitter, order, the queue's length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netem.conformance.check import Check, within
from netem.conformance.flows import FULL_BYTES, HEADERS_BYTES, Flow, Record, exchange
from netem.conformance.settings import link_of, one_way
from netem.link import Link
from offload.types import FloatArray

DELAY_BOUND_S = 1e-3
JITTER_BOUND = 0.15
QUEUE_SLACK_PACKETS = 2
FRAME_BYTES = FULL_BYTES + HEADERS_BYTES
_QUANTILES_APART = 2 * 1.6449
"""Standard deviations between the 5 % and the 95 % quantile of a normal distribution."""
_APART_SIGMAS = 4.0
"""Packets this many standard deviations apart would overtake, and be held up, 1 time in 400."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A quantity of each direction."""

    up: float
    down: float


def check_delay(link: Link, delay_s: Pair, packets: int = 200) -> list[Check]:
    """Median one-way delay of small packets on an idle link, within 1 ms of what was set."""
    link.apply(link_of(one_way(None, delay_s.up), one_way(None, delay_s.down)))
    flow = Flow(packets, 0.005)
    done = exchange(link, flow, flow, longest_s=max(delay_s.up, delay_s.down))
    checks = []
    for direction, record, value in _ways(done.up, done.down, delay_s):
        delays_s = record.delays_s
        low, high = within(1e3 * value, absolute=1e3 * DELAY_BOUND_S)
        checks.append(
            Check(
                "one-way delay, median",
                f"{1e3 * delay_s.up:g} up, {1e3 * delay_s.down:g} down",
                direction,
                "ms",
                1e3 * value,
                1e3 * _median(delays_s),
                low,
                high,
                len(delays_s),
                f"p99 {1e3 * _quantile(delays_s, 0.99):.2f}",
            )
        )
    return checks


def check_jitter(link: Link, jitter_s: Pair, packets: int = 400) -> list[Check]:
    """Standard deviation of the one-way delay, within 15 %.

    Over 400 packets its own standard error is 4.4 %, see :func:`deviation_s`; the bound is 3.4 of
    them, and a miss is measured once more.
    """
    delay_s = 6 * max(jitter_s.up, jitter_s.down)
    link.apply(
        link_of(
            one_way(None, delay_s, jitter_s=jitter_s.up),
            one_way(None, delay_s, jitter_s=jitter_s.down),
        )
    )
    flows = [Flow(packets, _APART_SIGMAS * value) for value in (jitter_s.up, jitter_s.down)]
    done = exchange(link, *flows, longest_s=2 * delay_s)
    checks = []
    for direction, record, value in _ways(done.up, done.down, jitter_s):
        spread = deviation_s(record.delays_s)
        low, high = within(1e3 * value, relative=JITTER_BOUND)
        checks.append(
            Check(
                "jitter, standard deviation",
                f"delay {1e3 * delay_s:g} ms",
                direction,
                "ms",
                1e3 * value,
                1e3 * spread,
                low,
                high,
                len(record.numbers),
                f"longest {1e3 * _quantile(record.delays_s, 1.0):.1f}",
            )
        )
    return checks


def check_order(link: Link, rate_bps: float, seconds: float) -> list[Check]:
    """No packet overtakes another under jitter of 5 ms at the full rate."""
    way = one_way(rate_bps, 0.02, jitter_s=0.005)
    link.apply(link_of(way, way))
    spacing_s = 8 * FRAME_BYTES / rate_bps
    flow = Flow(round(seconds / spacing_s), spacing_s, FULL_BYTES)
    done = exchange(link, flow, flow, longest_s=0.3)
    return [
        Check(
            "packets out of order",
            f"{rate_bps / 1e6:g} Mbit/s full, jitter 5 ms",
            direction,
            "",
            0.0,
            float(record.overtaken) if len(record.numbers) > flow.packets // 2 else np.nan,
            0.0,
            0.0,
            len(record.numbers),
        )
        for direction, record in (("up", done.up), ("down", done.down))
    ]


def check_queue(link: Link, rate_bps: Pair, queue_s: Pair, delay_s: float = 0.01) -> list[Check]:
    """The wait in an overfull queue: queue_ms, and two packets more at the most.

    The median over the second half, when the queue has long been full: an endless queue would be at
    three times queue_ms there. A stall of the machine lengthens single waits, so the longest is
    shown beside it.
    """
    link.apply(
        link_of(
            one_way(rate_bps.up, delay_s, queue_s=queue_s.up),
            one_way(rate_bps.down, delay_s, queue_s=queue_s.down),
        )
    )
    flows = []
    for rate, queue in ((rate_bps.up, queue_s.up), (rate_bps.down, queue_s.down)):
        spacing_s = 8 * FRAME_BYTES / (2 * rate)  # twice what the link carries
        flows.append(Flow(round(4 * queue / spacing_s), spacing_s, FULL_BYTES))
    done = exchange(link, *flows, longest_s=max(queue_s.up, queue_s.down))
    checks = []
    for direction, record, value in _ways(done.up, done.down, queue_s):
        rate = rate_bps.up if direction == "up" else rate_bps.down
        packet_s = 8 * FRAME_BYTES / rate
        waits_s = record.delays_s - delay_s
        full_s = _median(waits_s[len(waits_s) // 2 :])
        longest_s = _quantile(waits_s, 1.0)
        checks.append(
            Check(
                "wait in a full queue, median",
                f"{rate / 1e6:g} Mbit/s, twice that sent",
                direction,
                "ms",
                1e3 * value,
                1e3 * full_s,
                1e3 * (0.95 * value - packet_s),
                1e3 * (value + QUEUE_SLACK_PACKETS * packet_s + DELAY_BOUND_S),
                len(record.numbers),
                f"a packet takes {1e3 * packet_s:.2f} ms; longest {1e3 * longest_s:.1f}",
            )
        )
    return checks


def deviation_s(delays_s: FloatArray) -> float:
    """Standard deviation of normal delays, from how far apart their 5 % and 95 % quantiles lie.

    A single stall of the machine holds up a few packets, which add half to the usual estimate and
    nothing to this one. Its standard error is 0.885/sqrt(n) of it, the usual one's 0.707/sqrt(n).
    NaN where there are none.
    """
    return (_quantile(delays_s, 0.95) - _quantile(delays_s, 0.05)) / _QUANTILES_APART


def _ways(up: Record, down: Record, pair: Pair) -> list[tuple[str, Record, float]]:
    return [("up", up, pair.up), ("down", down, pair.down)]


def _median(values: np.ndarray) -> float:
    return _quantile(values, 0.5)


def _quantile(values: np.ndarray, share: float) -> float:
    return float(np.quantile(values, share)) if len(values) else np.nan
