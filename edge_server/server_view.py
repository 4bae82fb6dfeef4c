"""What a client knows of its server: clock, queue, limits; learnt from pings and answers."""

from __future__ import annotations

import math
import time
from typing import NamedTuple

from edge_server.client_hooks import LinkObserver
from edge_server.protocol import Pong, Times
from edge_server.server_clock import ServerClock
from offload.types import EdgeState, PlacementCost


class Spent(NamedTuple):
    """A run as the client saw it.

    Attributes:
        start_s, sent_s, back_s, end_s: the call came, the input was handed over (after connecting
            and compressing), the answer was there, and was decompressed; on the client's clock.
        sent_bytes, received_bytes: payloads, as sent.
    """

    start_s: float
    sent_s: float
    back_s: float
    end_s: float
    sent_bytes: int
    received_bytes: int


class ServerView:
    """Takes in what a connection's pings and answers tell.

    Args:
        observer: told of each ping of an idle connection, and of each probe of the uplink.

    Attributes:
        clock: the server's.
        rtt_s: round trip of the last ping without ballast.
        max_payload_bytes: the server's limit; None before its first pong.
        takes_zstd: it takes compressed payloads.
    """

    def __init__(self, observer: LinkObserver | None) -> None:
        self._observer = observer
        self._pings: dict[int, tuple[float, int]] = {}  # when it was sent, and its ballast
        self._queue_s = 0.0
        self._seen_s = -math.inf
        self.clock = ServerClock()
        self.rtt_s = math.nan
        self.max_payload_bytes: int | None = None
        self.takes_zstd = False

    def forget_pings(self) -> None:
        """The connection they were sent on is no more."""
        self._pings.clear()

    def sent_ping(self, request_id: int, ballast_bytes: int) -> None:
        """A ping is about to be sent."""
        self._pings[request_id] = (time.monotonic(), ballast_bytes)

    def saw_pong(self, pong: Pong) -> None:
        """A pong has come; one nobody asked for tells nothing."""
        now_s = time.monotonic()
        sent = self._pings.pop(pong.id, None)
        if sent is None:
            return
        self.max_payload_bytes = pong.max_payload_bytes
        self.takes_zstd = pong.zstd
        self.saw_queue(pong.expected_queue_s, now_s)
        sent_s, ballast_bytes = sent
        if ballast_bytes == 0:
            self.rtt_s = self.clock.saw_ping(sent_s, pong.times, now_s)
            if self._observer is not None:
                self._observer.saw_rtt(self.rtt_s)
        elif self._observer is not None and self.clock.knows(pong.times):
            upload_s = self.clock.ours(pong.times) - sent_s
            self._observer.saw_transfer(ballast_bytes, upload_s, uplink=True)

    def saw_answer(self, times: Times, spent: Spent) -> PlacementCost:
        """A run was answered; its measured seconds, term by term."""
        n_sent, n_received = spent.sent_bytes, spent.received_bytes
        cost = self.clock.split(times, spent.start_s, spent.end_s, n_sent, n_received)
        self.saw_queue(times.queue_s, spent.end_s)
        if self._observer is not None and self.clock.knows(times):
            upload_s = float(cost.upload_s) - (spent.sent_s - spent.start_s)
            download_s = float(cost.download_s) - (spent.end_s - spent.back_s)
            self._observer.saw_transfer(n_sent, upload_s, uplink=True)
            self._observer.saw_transfer(n_received, download_s, uplink=False)
        return cost

    def saw_queue(self, queue_s: float, now_s: float) -> None:
        """How long tasks wait at the server, as of now."""
        self._queue_s = queue_s
        self._seen_s = now_s

    def edge_state(self) -> EdgeState:
        """Queueing as last seen; of infinite age before any."""
        return EdgeState(self._queue_s, time.monotonic() - self._seen_s)
