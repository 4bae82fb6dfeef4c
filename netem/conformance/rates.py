"""Checks of how fast: TCP goodput, a long fat link, and how soon a change of rate holds."""

from __future__ import annotations

import time

import numpy as np

from netem.conformance.check import Check
from netem.conformance.flows import FULL_BYTES, HEADERS_BYTES, Flow, exchange
from netem.conformance.settings import QUEUE_S, link_of, one_way
from netem.conformance.timing import FRAME_BYTES, Pair
from netem.goodput import available_congestion_control, tcp_goodput
from netem.link import Link
from netem.measurement import settle
from netem.streams import busy_stream
from offload.types import LinkProfile

GOODPUT_BOUND = (0.90, 0.97)
LONG_FAT_BOUND = (0.85, 0.97)
"""Room for 300 packets would leave 0.60 of the rate at this delay, for 100 packets 0.20."""
STEP_BOUND_S = 0.1
_BACKLOG_PATIENCE_S = 5.0
_SEGMENT_BITS = 8 * 1448


def check_goodput(link: Link, rate_bps: Pair, seconds: float) -> list[Check]:
    """TCP payload in each direction of an asymmetric link: 90 to 97 % of that direction's rate.

    1,448 of a frame's 1,514 bytes are payload, so 95.6 % is the most there can be over packets.
    """
    # A queue of several frames, or the slowest rates would lose what a window is made of.
    ways = [
        one_way(rate, 0.005, queue_s=max(0.1, 20 * 8 * FRAME_BYTES / rate))
        for rate in (rate_bps.up, rate_bps.down)
    ]
    setting = f"{rate_bps.up / 1e6:g} up, {rate_bps.down / 1e6:g} down"
    return _goodputs(link, link_of(*ways), rate_bps, "TCP goodput", setting, seconds, GOODPUT_BOUND)


def check_long_fat(link: Link, rate_bps: float, rtt_s: float, seconds: float) -> list[Check]:
    """TCP fills a link of much rate and much delay: nothing on the way holds too few packets."""
    way = one_way(rate_bps, rtt_s / 2, queue_s=rtt_s)
    setting = f"{rate_bps / 1e6:g} both ways, {1e3 * rtt_s:g} ms of RTT"
    pair = Pair(rate_bps, rate_bps)
    trait = "TCP goodput, long fat link"
    return _goodputs(link, link_of(way, way), pair, trait, setting, seconds, LONG_FAT_BOUND)


def _goodputs(
    link: Link,
    profile: LinkProfile,
    rate_bps: Pair,
    trait: str,
    setting: str,
    seconds: float,
    bound: tuple[float, float],
) -> list[Check]:
    rtt_s = profile.uplink.delay_s + profile.downlink.delay_s
    checks = []
    for direction, rate in (("up", rate_bps.up), ("down", rate_bps.down)):
        link.apply(profile)
        settle(link)
        start_up_s = 1.0 + 20 * rtt_s + 60 * 8 * FRAME_BYTES / rate
        # At least 200 segments, so that the last one adds half a per cent at most.
        window_s = max(seconds, 200 * _SEGMENT_BITS / rate)
        measured, algorithm = _goodput(link, direction, window_s, start_up_s)
        checks.append(
            Check(
                trait,
                setting,
                direction,
                "Mbit/s",
                rate / 1e6,
                measured / 1e6,
                bound[0] * rate / 1e6,
                bound[1] * rate / 1e6,
                round(measured * window_s / _SEGMENT_BITS),
                f"{algorithm}; {measured / rate:.1%} of the rate; samples are segments",
            )
        )
    return checks


def _goodput(link: Link, direction: str, seconds: float, start_up_s: float) -> tuple[float, str]:
    """Payload bits per second, and the congestion control."""
    if link.carries_packets:
        ends = (link.device, link.edge) if direction == "up" else (link.edge, link.device)
        found = tcp_goodput(*ends, seconds=seconds, start_up_s=start_up_s)
        return found.goodput_bps, found.congestion_control
    with busy_stream(link, direction) as arrivals:
        time.sleep(start_up_s + seconds)
    until_ns = arrivals.read_ns[0] + int(1e9 * (start_up_s + seconds)) if arrivals.read_ns else 0
    since_ns = until_ns - int(1e9 * seconds)
    payload = arrivals.by(until_ns) - arrivals.by(since_ns)
    return 8 * payload / seconds, f"{available_congestion_control()} on the loopback"


def check_step(link: Link, old_bps: float, new_bps: float) -> list[Check]:
    """How long the old rate outlives a change under backlog, each direction by itself."""
    checks = []
    for direction in ("up", "down"):
        slow = one_way(old_bps, 0.005)
        fast = one_way(new_bps, 0.005)
        other = one_way(None, 0.005)
        before, after = (
            link_of(way, other) if direction == "up" else link_of(other, way)
            for way in (slow, fast)
        )
        link.apply(before)
        settle(link)
        lag_s, packets = (
            _packet_step(link, after, direction, old_bps, new_bps)
            if link.carries_packets
            else _stream_step(link, after, direction, old_bps, new_bps)
        )
        packet_s = 8 * FRAME_BYTES / min(old_bps, new_bps)
        checks.append(
            Check(
                "old rate after a change",
                f"{old_bps / 1e6:g} to {new_bps / 1e6:g} Mbit/s, backlog",
                direction,
                "ms",
                0.0,
                1e3 * lag_s,
                -1e3 * packet_s,
                1e3 * STEP_BOUND_S,
                packets,
            )
        )
        link.apply(link_of(other, other))  # another tree: what still waits is dropped with the old
    return checks


def _packet_step(
    link: Link, after: LinkProfile, direction: str, old_bps: float, new_bps: float
) -> tuple[float, int]:
    spacing_s = 8 * FRAME_BYTES / (1.25 * max(old_bps, new_bps))
    change_after_s, window_s = 0.4, 0.5
    busy = Flow(round((change_after_s + window_s) / spacing_s), spacing_s, FULL_BYTES)
    idle = Flow(1, 0.0)
    flows = (busy, idle) if direction == "up" else (idle, busy)
    done = exchange(
        link,
        *flows,
        longest_s=0.1,
        change_after_s=change_after_s,
        change=lambda: link.apply(after),
        at_most_s=2 * STEP_BOUND_S,  # time for a change that is late; the backlog is not waited for
    )
    record = done.up if direction == "up" else done.down
    arrived_ns = np.asarray(record.arrived_ns)
    end_ns = done.changed_ns + int(1e9 * window_s)
    count = int(np.sum((arrived_ns > done.changed_ns) & (arrived_ns <= end_ns)))
    bits = 8 * (record.payload_bytes + HEADERS_BYTES) * count
    return rate_lag_s(bits, window_s, old_bps, new_bps), count


def _stream_step(
    link: Link, after: LinkProfile, direction: str, old_bps: float, new_bps: float
) -> tuple[float, int]:
    window_s = 0.5
    with busy_stream(link, direction) as arrivals:
        _wait_for_backlog(link, direction, 0.8 * old_bps * QUEUE_S / 8)
        changed_ns = time.time_ns()
        link.apply(after)
        time.sleep(window_s + 0.1)
    end_ns = changed_ns + int(1e9 * window_s)
    count = arrivals.by(end_ns) - arrivals.by(changed_ns)
    return rate_lag_s(8 * count, window_s, old_bps, new_bps), round(8 * count / _SEGMENT_BITS)


def _wait_for_backlog(link: Link, direction: str, least_bytes: float) -> None:
    """Until so much waits; a stream that never fills the queue shows in what is measured then."""
    deadline = time.monotonic() + _BACKLOG_PATIENCE_S
    while time.monotonic() < deadline:
        stats = link.stats()
        waiting = stats.uplink if direction == "up" else stats.downlink
        if waiting.backlog_bytes >= least_bytes:
            return
        time.sleep(0.01)


def rate_lag_s(bits: float, window_s: float, old_bps: float, new_bps: float) -> float:
    """How long the old rate must have lasted for so many bits to come in the window's length.

    ``bits = old * lag + new * (window - lag)``, solved for the lag.
    """
    return (new_bps * window_s - bits) / (new_bps - old_bps)
