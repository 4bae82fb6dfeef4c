"""The server's clock beside ours, and where the seconds of a request went."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

from edge_server.protocol import Times, clock_name
from offload.types import PlacementCost

_CHECK_S = 10.0
_SAMPLES = 8


class _Sample(NamedTuple):
    """One ping: round-trip seconds, and the server's clock minus ours."""

    rtt_s: float
    offset_s: float


class ServerClock:
    """What pings tell of the server's clock, NTP's way: the quickest of the last few counts."""

    def __init__(self) -> None:
        self._name = clock_name()
        self._samples: deque[_Sample] = deque(maxlen=_SAMPLES)
        self._sampled_s = -math.inf

    @property
    def offset_s(self) -> float:
        """The server's clock minus ours; 0 before any ping."""
        return min(self._samples, default=_Sample(0.0, 0.0)).offset_s

    def is_old(self, now_s: float) -> bool:
        """The last ping was so long ago that the clocks may have drifted apart."""
        return now_s - self._sampled_s > _CHECK_S

    def knows(self, times: Times) -> bool:
        """Those times can be set against our own clock."""
        return times.clock == self._name or bool(self._samples)

    def saw_ping(self, sent_s: float, times: Times, now_s: float) -> float:
        """A ping was answered; its round trip in seconds, the server's own time taken off."""
        rtt_s = max(0.0, now_s - sent_s - max(0.0, times.sent_s - times.received_s))
        offset_s = ((times.received_s - sent_s) + (times.sent_s - now_s)) / 2
        self._samples.append(_Sample(rtt_s, offset_s))
        self._sampled_s = now_s
        return rtt_s

    def ours(self, times: Times) -> float:
        """When the server received the request, on our clock."""
        return times.received_s - (0.0 if times.clock == self._name else self.offset_s)

    def split(
        self, times: Times, start_s: float, end_s: float, sent_bytes: int, received_bytes: int
    ) -> PlacementCost:
        """The seconds from ``start_s`` to ``end_s``, term by term; none is negative.

        Args:
            times: what the server said.
            start_s, end_s: on our clock.
            sent_bytes, received_bytes: they share the transfer out where no clock can.
        """
        total_s = end_s - start_s
        compute_s = min(times.compute_s, total_s)
        queue_s = min(times.queue_s, total_s - compute_s)
        transfer_s = total_s - compute_s - queue_s
        if self.knows(times):
            upload_s = self.ours(times) - start_s
        else:
            upload_s = transfer_s * sent_bytes / max(1, sent_bytes + received_bytes)
        upload_s = min(max(0.0, upload_s), transfer_s)
        return PlacementCost(
            upload_s=upload_s,
            queue_s=queue_s,
            compute_s=compute_s,
            download_s=transfer_s - upload_s,
            cpu_j=0.0,
            radio_j=0.0,
        )
