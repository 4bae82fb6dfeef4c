"""The queueing disciplines of one direction: their command text, read-back and counters. Pure text.

One tree a direction, on the router's egress device:

    root 1: netem   delay, jitter, loss      (and ``rate 10gbit``, which keeps packets in order)
      10: tbf       rate and queue           (absent where the rate is unlimited)

Delay and loss come before the bottleneck's queue. The rate is in the TBF and not in netem, because
netem fixes each packet's departure when it is enqueued: after a change from 1 to 50 Mbit/s with a
backlog, the old rate lived on for 4.5 s. A live rate change here touches the TBF alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from offload.errors import BackendError, ConfigError
from offload.types import DirectionProfile

ORDER_RATE_BPS = 10e9
"""netem's own rate: not a bottleneck, but with any rate set netem departs packets in order."""
FRAME_BYTES = 1514
"""An Ethernet frame of a full packet, what the qdiscs count."""
TBF_BURST_BYTES = 3200
"""Two full frames: the smallest bucket that still carries 200 Mbit/s."""
MIN_QUEUE_BYTES = 2 * TBF_BURST_BYTES
MIN_NETEM_PACKETS = 10_000

Shown = Mapping[str, Any]
"""One qdisc as ``tc -s -j qdisc show`` prints it."""


@dataclass(frozen=True, slots=True)
class DirectionStats:
    """Counters of one direction since its qdiscs were made.

    Attributes:
        sent_packets: packets that left towards the receiver.
        sent_bytes: the same in bytes, Ethernet headers included.
        lost_packets: packets the emulated loss took.
        queue_dropped_packets: packets the full bottleneck queue refused.
        backlog_packets: packets waiting now, in the delay line and the queue together.
        backlog_bytes: the same in bytes.
    """

    sent_packets: int
    sent_bytes: int
    lost_packets: int
    queue_dropped_packets: int
    backlog_packets: int
    backlog_bytes: int

    @property
    def dropped_packets(self) -> int:
        """Packets that did not arrive, for either reason."""
        return self.lost_packets + self.queue_dropped_packets


@dataclass(frozen=True, slots=True)
class LinkStats:
    """Counters of both directions."""

    uplink: DirectionStats
    downlink: DirectionStats


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


def differences(direction: DirectionProfile, shown: Sequence[Shown]) -> list[str]:
    """What ``tc -j qdisc show`` says that ``direction`` does not; empty when it is as set."""
    found = {qdisc.get("kind"): qdisc for qdisc in shown}
    wanted_kinds = {"netem"} if direction.rate_bps is None else {"netem", "tbf"}
    if set(found) != wanted_kinds or len(shown) != len(wanted_kinds):
        kinds = [str(qdisc.get("kind")) for qdisc in shown]
        return [f"qdiscs: set {sorted(wanted_kinds)}, read back {sorted(kinds)}"]
    result = _netem_differences(direction, found["netem"])
    if direction.rate_bps is not None:
        result += _tbf_differences(direction, found["tbf"])
    return result


def _netem_differences(direction: DirectionProfile, shown: Shown) -> list[str]:
    options = shown.get("options", {})
    delay = options.get("delay", {})
    loss = options.get("loss-gemodel", {})
    rate = options.get("rate", {})
    result = [] if shown.get("root") else ["netem: set as root, read back elsewhere"]
    # tc prints six significant digits, and the kernel keeps a chance as a 32-bit fraction.
    for name, want, got, slack in (
        ("limit", netem_limit_packets(direction), options.get("limit"), 0.0),
        ("delay_s", direction.delay_s, delay.get("delay", 0.0), 2e-6),
        ("jitter_s", direction.jitter_s, delay.get("jitter", 0.0), 2e-6),
        ("delay correlation", 0.0, delay.get("correlation", 0.0), 0.0),
        ("loss_enter", direction.loss_enter, loss.get("p", 0.0), 2e-6),
        ("loss_leave", direction.loss_leave, loss.get("r", direction.loss_leave), 2e-6),
        ("loss 1-h", 1.0, loss.get("1-h", 1.0), 2e-6),
        ("loss 1-k", 0.0, loss.get("1-k", 0.0), 0.0),
        ("order rate (byte/s)", ORDER_RATE_BPS / 8, rate.get("rate"), 1.0),
    ):
        if not _close(want, got, slack):
            result.append(f"netem {name}: set {want:g}, read back {got}")
    known = {"limit", "delay", "loss-gemodel", "rate", "ecn", "gap"}
    for name, value in options.items():
        stray = value if name in {"ecn", "gap"} else name not in known
        if stray:
            result.append(f"netem {name}: not set, read back {value}")
    return result


def _tbf_differences(direction: DirectionProfile, shown: Shown) -> list[str]:
    options = shown.get("options", {})
    rate = float(options.get("rate", 0))
    burst = float(options.get("burst", 0))
    result = [] if shown.get("parent") == "1:1" else [f"tbf: read back at {shown.get('parent')}"]
    want_rate = round(direction.rate_bps or 0.0) / 8
    if not _close(want_rate, rate, 1.0):
        return [*result, f"tbf rate (byte/s): set {want_rate:g}, read back {rate:g}"]
    # tc hands the bucket over as time in whole microseconds, so it comes back a little off.
    if not _close(TBF_BURST_BYTES, burst, 8 + 1.1e-6 * rate):
        result.append(f"tbf burst: set {TBF_BURST_BYTES}, read back {burst:g}")
    # tc prints the queue as the time a full one takes beyond the bucket, in microseconds.
    limit = float(options.get("lat", 0)) / 1e6 * rate + TBF_BURST_BYTES
    want_limit = tbf_limit_bytes(direction)
    if not _close(want_limit, limit, max(32.0, 2e-6 * rate)):
        result.append(f"tbf limit (bytes): set {want_limit}, read back {limit:.0f}")
    return result


def counters(shown: Sequence[Shown]) -> DirectionStats:
    """The counters of one device's qdiscs.

    Raises:
        BackendError: the reply holds no netem root.
    """
    root = next((qdisc for qdisc in shown if qdisc.get("kind") == "netem"), None)
    if root is None:
        raise BackendError(f"the router shows no netem qdisc: {list(shown)!r}")
    child = next((qdisc for qdisc in shown if qdisc.get("kind") == "tbf"), None)
    queue_dropped = int(child["drops"]) if child is not None else 0
    return DirectionStats(
        sent_packets=int(root["packets"]),
        sent_bytes=int(root["bytes"]),
        # netem counts what its child refused among its own drops.
        lost_packets=int(root["drops"]) - queue_dropped,
        queue_dropped_packets=queue_dropped,
        backlog_packets=int(root["qlen"]),
        backlog_bytes=int(root["backlog"]),
    )


def _us(seconds: float) -> str:
    return f"{seconds * 1e6:.12g}us"


def _percent(chance: float) -> str:
    return f"{chance * 100:.9g}%"


def _close(want: float, got: Any, slack: float) -> bool:
    return isinstance(got, int | float) and abs(want - got) <= slack + 2e-6 * abs(want)
