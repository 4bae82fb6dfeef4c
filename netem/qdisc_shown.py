"""What ``tc -s -j qdisc show`` says of one direction: is it as set, and what has it counted?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netem.link_stats import DirectionStats
from netem.qdisc import ORDER_RATE_BPS, TBF_BURST_BYTES, netem_limit_packets, tbf_limit_bytes
from offload.errors import BackendError
from offload.types import DirectionProfile

Shown = Mapping[str, Any]
"""One qdisc as tc prints it."""


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


def _close(want: float, got: Any, slack: float) -> bool:
    return isinstance(got, int | float) and abs(want - got) <= slack + 2e-6 * abs(want)
