"""What a router has counted of each direction of a link."""

from __future__ import annotations

from dataclasses import dataclass


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
