"""The queueing disciplines of one direction: what they may be set to, and the commands. Pure text.

One tree a direction, on the router's egress device:

    root 1: netem   delay, jitter, loss      (and ``rate 10gbit``, which keeps packets in order)
      10: tbf       rate and queue           (absent where the rate is unlimited)

Delay and loss come before the bottleneck's queue. The rate is in the TBF and not in netem, because
netem fixes each packet's departure when it is enqueued: after a change from 1 to 50 Mbit/s with a
backlog, the old rate lived on for 4.5 s. A live rate change here touches the TBF alone.
"""

from __future__ import annotations

import math

from offload.errors import ConfigError
from offload.types import DirectionProfile

ORDER_RATE_BPS = 10e9
"""netem's own rate: not a bottleneck, but with any rate set netem departs packets in order."""
FRAME_BYTES = 1514
"""An Ethernet frame of a full packet, what the qdiscs count."""
TBF_BURST_BYTES = 3200
"""Two full frames: the smallest bucket that still carries 200 Mbit/s."""
MIN_QUEUE_BYTES = 2 * TBF_BURST_BYTES
MIN_NETEM_PACKETS = 10_000


def check_direction(direction: DirectionProfile) -> None:
    """Refuse what netem cannot do, before anything is set.

    Raises:
        ConfigError: a value out of range, or jitter without a delay to jitter around.
    """
    for name in ("delay_s", "jitter_s", "queue_s"):
        value = getattr(direction, name)
        if not (math.isfinite(value) and 0.0 <= value <= 60.0):
            raise ConfigError(f"{name} is {value!r}; it must be 0 to 60 seconds")
    if direction.jitter_s > 0.0 and direction.delay_s == 0.0:
        raise ConfigError(
            f"jitter_s is {direction.jitter_s} with delay_s 0; jitter needs a delay to vary around"
        )
    for name in ("loss_enter", "loss_leave"):
        value = getattr(direction, name)
        if not 0.0 <= value <= 1.0:
            raise ConfigError(f"{name} is {value!r}; it must be a chance from 0 to 1")
    rate = direction.rate_bps
    if rate is not None and not (math.isfinite(rate) and 8.0 <= rate <= ORDER_RATE_BPS):
        raise ConfigError(f"rate_bps is {rate!r}; it must be 8 bit/s to 10 Gbit/s, or None")


def tbf_limit_bytes(direction: DirectionProfile) -> int:
    """Bytes the bottleneck's queue holds: rate x queue_s, but at least two buckets."""
    rate = direction.rate_bps or 0.0
    return max(MIN_QUEUE_BYTES, round(rate * direction.queue_s / 8))


def netem_limit_packets(direction: DirectionProfile) -> int:
    """Packets netem may hold: twice the full-size packets in flight at delay + 4 sigma + queue.

    netem's default of 1000 throttles a 100 Mbit/s link with 100 ms of RTT to 86 Mbit/s. Its limit
    counts the child's packets too, hence the queue. At least 10,000, for small packets.
    """
    packets_per_s = (direction.rate_bps or ORDER_RATE_BPS) / 8 / FRAME_BYTES
    held_s = direction.delay_s + 4 * direction.jitter_s + direction.queue_s
    return max(MIN_NETEM_PACKETS, math.ceil(2 * packets_per_s * held_s))


def netem_text(direction: DirectionProfile) -> str:
    """Every netem option, since what is left out survives a ``change``.

    Loss is the Gilbert-Elliott model, because netem's loss correlation is broken (5 % with
    correlation 25 % loses 0.18 %), and delay correlation, which does nothing, is never used.
    """
    delay = f"delay {_us(direction.delay_s)} {_us(direction.jitter_s)}"
    if direction.jitter_s > 0.0:
        delay += " distribution normal"
    loss = f"loss gemodel {_percent(direction.loss_enter)} {_percent(direction.loss_leave)}"
    return (
        f"netem limit {netem_limit_packets(direction)} {delay} {loss} 100% 0%"
        " rate 10gbit duplicate 0% corrupt 0% reorder 0% gap 0 slot 0us 0us"
    )


def tbf_text(direction: DirectionProfile) -> str | None:
    """The bottleneck, or None where the rate is unlimited."""
    if direction.rate_bps is None:
        return None
    return (
        f"tbf rate {round(direction.rate_bps)}bit burst {TBF_BURST_BYTES}"
        f" limit {tbf_limit_bytes(direction)}"
    )


def set_commands(device: str, new: DirectionProfile, old: DirectionProfile | None) -> list[str]:
    """Lines for ``tc -batch`` that bring ``device`` from ``old`` to ``new``.

    Args:
        device: the router's egress device.
        old: what is set now; None: unknown or nothing.

    Returns:
        Changes in place (a backlog survives) where the tree keeps its form; only what differs.
    """
    netem, tbf = netem_text(new), tbf_text(new)
    if old is not None and (tbf is None) == (old.rate_bps is None):
        lines = []
        if netem != netem_text(old):
            lines.append(f"qdisc change dev {device} root handle 1: {netem}")
        if tbf is not None and tbf != tbf_text(old):
            lines.append(f"qdisc change dev {device} parent 1:1 handle 10: {tbf}")
        return lines
    # A plain queue in between clears any tree, and never fails as deleting the default one does.
    lines = [
        f"qdisc replace dev {device} root handle 9: pfifo limit {MIN_NETEM_PACKETS}",
        f"qdisc replace dev {device} root handle 1: {netem}",
    ]
    if tbf is not None:
        lines.append(f"qdisc add dev {device} parent 1:1 handle 10: {tbf}")
    return lines


def _us(seconds: float) -> str:
    return f"{seconds * 1e6:.12g}us"


def _percent(chance: float) -> str:
    return f"{chance * 100:.9g}%"
