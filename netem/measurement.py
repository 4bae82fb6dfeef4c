"""What a profile was set to, against what was measured across it: the table of docs/network.md."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from netem.goodput import tcp_goodput
from netem.link import Link
from netem.probes import LinkProber, ProbeResponder
from offload.types import LinkProfile

_PING_FRAME_BITS = 8 * 106


@dataclass(frozen=True, slots=True)
class Measured:
    """A profile as set and as measured. Seconds, bit/s, fractions; rates None: unlimited.

    Attributes:
        rtt_set_s: sum of both one-way delays.
        jitter_set_s: standard deviation of that sum.
        rtt_s: mean over pings spaced well apart, on an idle queue.
        uplink_train_bps: rate found by the packet trains, whole Ethernet frames.
        uplink_goodput_bps: TCP payload; at most 95.6 % of the rate fits beside the headers.
        uplink_loss: share lost of ``uplink_pings``.
        uplink_loss_error: standard error of that share for so many pings in such bursts.
    """

    profile: str
    backend: str
    congestion_control: str
    rtt_set_s: float
    rtt_s: float
    jitter_set_s: float
    jitter_s: float
    uplink_set_bps: float | None
    uplink_train_bps: float
    uplink_goodput_bps: float
    downlink_set_bps: float | None
    downlink_train_bps: float
    downlink_goodput_bps: float
    pings: int
    uplink_loss_set: float
    uplink_loss: float
    uplink_loss_error: float
    downlink_loss_set: float
    downlink_loss: float
    downlink_loss_error: float
    probe_bytes: int


def measure_profile(
    link: Link,
    profile: LinkProfile,
    *,
    seconds: float = 6.0,
    report: Callable[[str], None] = lambda text: None,
) -> Measured:
    """Set ``profile`` on an open link and measure all of it; takes about 4 x ``seconds``.

    Args:
        link: any open link; left at ``profile``.
        seconds: length of each TCP transfer, start-up left out; sets the length of the rest too.
        report: called with each step's name.
    """
    link.apply(profile)
    settle(link)
    up, down = profile.uplink, profile.downlink
    rtt_set_s = up.delay_s + down.delay_s
    jitter_set_s = math.hypot(up.jitter_s, down.jitter_s)
    with (
        ProbeResponder(link.edge.address, endpoint=link.edge) as responder,
        LinkProber(*responder.address, endpoint=link.device) as prober,
    ):
        report("delay")
        # Apart by 5 sigma of one direction, so that no packet is held up by the one before.
        spacing_s = max(0.01, 5 * max(up.jitter_s, down.jitter_s))
        count = max(40, min(300, round(seconds / spacing_s)))
        delay = prober.echoes(count, spacing_s)
        report("rate")
        for _ in range(3):
            prober.measure()
        estimate = prober.state()
        probe_bytes = (prober.cost.uplink_bytes + prober.cost.downlink_bytes) // 4
        report("loss")
        slowest_bps = min(up.rate_bps or 1e9, down.rate_bps or 1e9)
        pings_per_s = min(1000.0, 0.6 * slowest_bps / _PING_FRAME_BITS)
        pings = round(pings_per_s * seconds)
        loss = prober.echoes(pings, 1 / pings_per_s, timeout_s=2.0)
    settle(link)
    report("uplink goodput")
    start_up_s = 1.0 + 10 * rtt_set_s
    # Data behind a lost packet arrives all at once: the window must dwarf such a hold-up.
    seconds = max(seconds, 60 * rtt_set_s)
    uplink = tcp_goodput(link.device, link.edge, seconds=seconds, start_up_s=start_up_s)
    settle(link)
    report("downlink goodput")
    downlink = tcp_goodput(link.edge, link.device, seconds=seconds, start_up_s=start_up_s)
    return Measured(
        profile=profile.name,
        backend=link.backend,
        congestion_control=uplink.congestion_control,
        rtt_set_s=rtt_set_s,
        rtt_s=delay.rtt_s,
        jitter_set_s=jitter_set_s,
        jitter_s=delay.jitter_s,
        uplink_set_bps=up.rate_bps,
        uplink_train_bps=estimate.uplink_bps,
        uplink_goodput_bps=uplink.goodput_bps,
        downlink_set_bps=down.rate_bps,
        downlink_train_bps=estimate.downlink_bps,
        downlink_goodput_bps=downlink.goodput_bps,
        pings=pings,
        uplink_loss_set=up.loss,
        uplink_loss=loss.uplink_loss,
        uplink_loss_error=loss_error(up.loss_enter, up.loss_leave, pings),
        downlink_loss_set=down.loss,
        downlink_loss=loss.downlink_loss,
        downlink_loss_error=loss_error(down.loss_enter, down.loss_leave, pings),
        probe_bytes=probe_bytes,
    )


def settle(link: Link, patience_s: float = 10.0) -> None:
    """Wait until nothing of an earlier transfer is left in the queues, which a change keeps."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        stats = link.stats()
        if stats.uplink.backlog_packets == stats.downlink.backlog_packets == 0:
            return
        time.sleep(0.05)


def loss_error(enter: float, leave: float, packets: int) -> float:
    """Standard error of a Gilbert-Elliott loss share over that many packets.

    A two-state chain's correlation falls as (1 - p - r)^k, which widens the binomial variance by
    (2 - p - r) / (p + r).
    """
    if enter == 0.0:
        return 0.0
    share = enter / (enter + leave)
    return math.sqrt(share * (1 - share) / packets * (2 - enter - leave) / (enter + leave))
