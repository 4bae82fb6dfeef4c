"""Checks of what is lost, and of what the router's counters say about it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netem.conformance.check import Check, within
from netem.conformance.flows import HEADERS_BYTES, SMALL_BYTES, Flow, Record, exchange
from netem.conformance.settings import link_of, one_way
from netem.link import Link
from netem.link_stats import DirectionStats

SHARE_BOUND = 0.15
BURST_BOUND = 0.20
SIGMAS = 4.0
"""How many standard errors each bound is wide: a true link fails 1 time in 16,000."""
PACKETS_PER_S = 4000.0


@dataclass(frozen=True, slots=True)
class Chain:
    """Gilbert-Elliott chances a packet of entering and leaving the losing state."""

    enter: float
    leave: float

    @property
    def share(self) -> float:
        """Mean share lost."""
        return self.enter / (self.enter + self.leave)

    @property
    def burst(self) -> float:
        """Mean packets lost in a row."""
        return 1 / self.leave

    @property
    def packets(self) -> int:
        """Packets it takes until both bounds are :data:`SIGMAS` standard errors wide.

        Share: binomial, widened by (2 - p - r) / (p + r) because the chain remembers. Bursts:
        geometric, of relative deviation sqrt(1 - r); one begins every 1/p + 1/r packets.
        """
        p, r = self.enter, self.leave
        share = (1 - self.share) / self.share * (2 - p - r) / (p + r)
        bursts = (1 - r) * (1 / p + 1 / r)
        needed = max(share * (SIGMAS / SHARE_BOUND) ** 2, bursts * (SIGMAS / BURST_BOUND) ** 2)
        return math.ceil(needed)


def check_loss(link: Link, up: Chain, down: Chain) -> list[Check]:
    """Share lost within 15 %, mean burst within 20 %, and counters that agree with both ends."""
    link.apply(
        link_of(
            one_way(None, 0.005, loss_enter=up.enter, loss_leave=up.leave),
            one_way(None, 0.005, loss_enter=down.enter, loss_leave=down.leave),
        )
    )
    before = link.stats()
    flows = [Flow(chain.packets, 1 / PACKETS_PER_S) for chain in (up, down)]
    done = exchange(link, *flows, longest_s=0.1)
    after = link.stats()
    return [
        *_direction("up", up, done.up, before.uplink, after.uplink),
        *_direction("down", down, done.down, before.downlink, after.downlink),
    ]


def _direction(
    direction: str, chain: Chain, record: Record, before: DirectionStats, after: DirectionStats
) -> list[Check]:
    lost = record.lost
    sent, arrived = len(lost), len(record.numbers)
    setting = f"p {chain.enter:.1%}, r {chain.leave:.0%}"
    bursts = burst_lengths(lost)
    share, burst = 100 * chain.share, chain.burst
    counted_lost = after.lost_packets - before.lost_packets
    counted_sent = after.sent_packets - before.sent_packets
    counted_bytes = after.sent_bytes - before.sent_bytes
    frame = SMALL_BYTES + HEADERS_BYTES

    def counter(name: str, true: int, counted: int) -> Check:
        return Check(
            f"counter: {name}", setting, direction, "", true, counted, true, true, samples=sent
        )

    return [
        Check(
            "loss, mean share",
            setting,
            direction,
            "%",
            share,
            100 * float(np.mean(lost)),
            *within(share, relative=SHARE_BOUND),
            samples=sent,
        ),
        Check(
            "loss, mean burst",
            setting,
            direction,
            "packets",
            burst,
            float(np.mean(bursts)) if len(bursts) else math.nan,
            *within(burst, relative=BURST_BOUND),
            samples=len(bursts),
            detail="samples are bursts",
        ),
        counter("packets sent on", arrived, counted_sent),
        counter("packets lost", sent - arrived, counted_lost),
        counter("bytes sent on", arrived * frame, counted_bytes),
    ]


def burst_lengths(lost: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Lengths of the runs of lost packets.

    Args:
        lost: by packet number, whether it was lost.
    """
    edges = np.diff(np.concatenate(([False], lost, [False])).astype(int))
    return np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)
