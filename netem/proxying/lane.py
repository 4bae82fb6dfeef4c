"""One direction of a proxied link: a bounded queue, a token bucket, then the delay. No sockets.

What passes is not packets but pieces of byte streams, cut so that one takes at most about 2 ms at
the rate (and is at least one segment). A piece costs its bytes and the headers of the segments it
would fill, so that goodput relates to the rate as it does where packets are shaped.
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Generic, NamedTuple, TypeVar

from netem.proxying.messages import LaneCount, LaneSettings

SEGMENT_BYTES = 1448
"""TCP payload of a full frame of 1,514 bytes, with timestamps."""
HEADER_BYTES = 66
BURST_BYTES = 3200
MIN_QUEUE_BYTES = 2 * BURST_BYTES
UNLIMITED_BYTES = 8 * 2**20
"""Held at most in all where the rate is unlimited, so that a long delay takes bounded memory."""
_PIECE_S = 0.002
_MAX_PIECE_BYTES = 65_536
_Sink = TypeVar("_Sink")


class Piece(NamedTuple, Generic[_Sink]):
    """Some bytes of a stream on their way to ``sink``; none: a mark, such as the stream's end."""

    sink: _Sink
    data: memoryview
    mark: str = ""


def wire_bytes(size: int) -> int:
    """Bytes on the wire for ``size`` bytes of payload."""
    return size + HEADER_BYTES * -(-size // SEGMENT_BYTES)


class Lane(Generic[_Sink]):
    """Delays and paces pieces in the order they came. Times are seconds on any one clock.

    Args:
        random: where the jitter is drawn from.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self.settings = LaneSettings(None, 0.0, 0.0, 0.0)
        self._waiting: deque[Piece[_Sink]] = deque()
        self._flying: deque[tuple[float, Piece[_Sink]]] = deque()
        self._waiting_bytes = 0
        self._flying_bytes = 0
        self._sent_bytes = 0
        self._tokens_bytes = float(BURST_BYTES)
        self._clock_s = 0.0
        self._last_release_s = 0.0

    def set(self, settings: LaneSettings, now_s: float) -> None:
        """Change the settings: at once for what waits, not for what is past the bottleneck."""
        self._serve(now_s)
        self._accrue(now_s)
        self.settings = settings

    def room_bytes(self) -> int:
        """Payload that may be offered now; below 0 after a change to a shorter queue."""
        rate_bps = self.settings.rate_bps
        if rate_bps is None:
            return UNLIMITED_BYTES - self._waiting_bytes - self._flying_bytes
        return self.queue_bytes() - self._waiting_bytes

    def queue_bytes(self) -> int:
        """Payload the queue holds: rate x queue_s, and at least two buckets."""
        rate_bps = self.settings.rate_bps
        if rate_bps is None:
            return UNLIMITED_BYTES
        return max(MIN_QUEUE_BYTES, round(rate_bps * self.settings.queue_s / 8))

    def offer(self, piece: Piece[_Sink], now_s: float) -> None:
        """Put a piece at the queue's end. It is the caller's to keep to :meth:`room_bytes`."""
        self._serve(now_s)
        if not self._waiting:
            self._accrue(now_s)
        self._waiting.append(piece)
        self._waiting_bytes += len(piece.data)

    def due(self, now_s: float) -> list[Piece[_Sink]]:
        """The pieces that have arrived by now, in order."""
        self._serve(now_s)
        arrived = []
        while self._flying and self._flying[0][0] <= now_s:
            piece = self._flying.popleft()[1]
            self._flying_bytes -= len(piece.data)
            self._sent_bytes += wire_bytes(len(piece.data))
            arrived.append(piece)
        return arrived

    def next_s(self) -> float | None:
        """When something happens next; None: nothing is held."""
        times = [self._flying[0][0]] if self._flying else []
        if self._waiting:
            times.append(self._ready_s(self._head_bytes()))
        return min(times, default=None)

    def count(self) -> LaneCount:
        """Counters."""
        return LaneCount(
            self._sent_bytes,
            self._waiting_bytes + self._flying_bytes,
            len(self._waiting) + len(self._flying),
        )

    def _serve(self, now_s: float) -> None:
        """Move what has passed the bottleneck by now into the delay, at the moments it passed."""
        while self._waiting:
            size = self._head_bytes()
            ready_s = self._ready_s(size)
            if ready_s > now_s:
                return
            self._accrue(ready_s)
            self._tokens_bytes -= wire_bytes(size)
            piece = self._take(size)
            jitter_s = self.settings.jitter_s
            delay_s = self.settings.delay_s + (self._random.gauss(0, jitter_s) if jitter_s else 0)
            self._last_release_s = max(self._last_release_s, ready_s + max(0.0, delay_s))
            self._flying.append((self._last_release_s, piece))
            self._flying_bytes += size

    def _head_bytes(self) -> int:
        rate_bps = self.settings.rate_bps
        piece_bytes = _MAX_PIECE_BYTES
        if rate_bps is not None:
            piece_bytes = min(piece_bytes, int(rate_bps * _PIECE_S / 8))
        piece_bytes = max(1, piece_bytes // SEGMENT_BYTES) * SEGMENT_BYTES
        return min(piece_bytes, len(self._waiting[0].data))

    def _take(self, size: int) -> Piece[_Sink]:
        piece = self._waiting.popleft()
        self._waiting_bytes -= size
        if size == len(piece.data):
            return piece
        self._waiting.appendleft(piece._replace(data=piece.data[size:]))
        return piece._replace(data=piece.data[:size])

    def _ready_s(self, size: int) -> float:
        """When the bottleneck will have let ``size`` bytes pass, nothing being before them."""
        rate_bps = self.settings.rate_bps
        if rate_bps is None:
            return self._clock_s
        return self._clock_s + max(0.0, wire_bytes(size) - self._tokens_bytes) * 8 / rate_bps

    def _accrue(self, now_s: float) -> None:
        rate_bps = self.settings.rate_bps
        # While a piece longer than the bucket waits, the bucket fills for it.
        most = max(BURST_BYTES, wire_bytes(self._head_bytes())) if self._waiting else BURST_BYTES
        if rate_bps is None:
            self._tokens_bytes = most
        else:
            earned = (now_s - self._clock_s) * rate_bps / 8
            self._tokens_bytes = min(most, self._tokens_bytes + max(0.0, earned))
        self._clock_s = max(self._clock_s, now_s)
