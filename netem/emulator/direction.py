"""One direction of a link as a pure function of its packets' arrival times: no clock, no socket.

A packet meets, in this order, Gilbert-Elliott loss, a delay with jitter that keeps the order, and a
token bucket with a byte-limited queue: the tree of :mod:`netem.qdisc`, packet for packet. Times are
whole nanoseconds and tokens whole billionths of a bit, so nothing is ever rounded away.
"""

from __future__ import annotations

import random
from collections import deque

from netem.emulator.settings import DirectionSettings
from netem.link_stats import DirectionStats
from netem.qdisc import TBF_BURST_BYTES

NEVER_NS = 1 << 63
_TOKENS_A_BYTE = 8 * 10**9
_FULL_BUCKET = TBF_BURST_BYTES * _TOKENS_A_BYTE


class Direction:
    """Frames in, frames out. Times passed in must not run backwards.

    The k-th packet that arrives meets the k-th draw of the loss stream and the k-th of the delay
    stream, whatever is set: equal seeds and equal sequences of packets give equal fates.

    Args:
        settings: what to start with.
        seed: names both streams; give each direction its own.
    """

    def __init__(self, settings: DirectionSettings, seed: str) -> None:
        self._uniform = random.Random(f"{seed} loss").random
        self._normal = random.Random(f"{seed} delay").gauss
        self._losing = False
        self._line: deque[tuple[int, bytes]] = deque()
        self._line_bytes = 0
        self._last_due_ns = 0
        self._queue: deque[bytes] = deque()
        self._queue_bytes = 0
        self._head_due_ns = NEVER_NS
        self._tokens = _FULL_BUCKET
        self._tokens_at_ns = 0
        self._sent_packets = self._sent_bytes = 0
        self._lost_packets = self._queue_dropped_packets = 0
        self.settings = settings

    def arrive(self, frame: bytes, now_ns: int) -> None:
        """Take in a frame that arrives now; its fate is decided here but for the queue's."""
        settings = self.settings
        chance = self._uniform()
        deviation = self._normal(0.0, 1.0)
        # As in netem: the state before the packet decides over it, and then moves on.
        if self._losing:
            self._losing = chance >= settings.loss_leave
            self._lost_packets += 1
            return
        self._losing = chance < settings.loss_enter
        if len(self._line) + len(self._queue) >= settings.held_packets:
            self._lost_packets += 1  # netem counts its own full line among its losses, too
            return
        delay_ns = settings.delay_ns + round(settings.jitter_ns * deviation)
        due_ns = now_ns + delay_ns if delay_ns > 0 else now_ns
        if due_ns < self._last_due_ns:
            due_ns = self._last_due_ns  # one that would overtake waits
        self._last_due_ns = due_ns
        self._line.append((due_ns, frame))
        self._line_bytes += len(frame)

    def due_ns(self) -> int:
        """When :meth:`release` next has something to do; :data:`NEVER_NS` when nothing is held."""
        line_due_ns = self._line[0][0] if self._line else NEVER_NS
        return line_due_ns if line_due_ns < self._head_due_ns else self._head_due_ns

    def release(self, now_ns: int) -> list[bytes]:
        """The frames that leave by now, in order.

        What happened since the last call is worked out at its own time, however late this one is.
        """
        leaving: list[bytes] = []
        line = self._line
        while True:
            line_due_ns = line[0][0] if line else NEVER_NS
            head_due_ns = self._head_due_ns
            if head_due_ns <= line_due_ns:
                if head_due_ns > now_ns:
                    break
                leaving.append(self._leave_queue())
            else:
                if line_due_ns > now_ns:
                    break
                frame = line.popleft()[1]
                self._line_bytes -= len(frame)
                if self.settings.rate_bps is None:
                    leaving.append(frame)
                else:
                    self._enter_queue(frame, line_due_ns)
        self._count(leaving)
        return leaving

    def change(self, settings: DirectionSettings, now_ns: int) -> list[bytes]:
        """Set anew; returns the frames that leave by now.

        Packets in the delay line keep their delay. The queue survives and goes on at the new rate
        at once; where there is no bottleneck any more, it leaves as a whole. A queue longer than
        the new limit stays, and takes nothing more before it is short enough.
        """
        leaving = self.release(now_ns)
        self._refill(now_ns)
        self.settings = settings
        if settings.loss_enter == 0.0:
            self._losing = False
        if settings.rate_bps is None:
            freed = list(self._queue)
            self._queue.clear()
            self._queue_bytes = 0
            self._head_due_ns = NEVER_NS
            self._count(freed)
            return leaving + freed
        if self._queue:
            self._schedule_head(now_ns)
        return leaving

    def stats(self) -> DirectionStats:
        """Counters since the start, and what is held now."""
        return DirectionStats(
            sent_packets=self._sent_packets,
            sent_bytes=self._sent_bytes,
            lost_packets=self._lost_packets,
            queue_dropped_packets=self._queue_dropped_packets,
            backlog_packets=len(self._line) + len(self._queue),
            backlog_bytes=self._line_bytes + self._queue_bytes,
        )

    def _count(self, leaving: list[bytes]) -> None:
        self._sent_packets += len(leaving)
        self._sent_bytes += sum(map(len, leaving))

    def _enter_queue(self, frame: bytes, now_ns: int) -> None:
        size = len(frame)
        # More than the bucket holds could never leave; the kernel's TBF drops it as well.
        if size > TBF_BURST_BYTES or self._queue_bytes + size > self.settings.queue_bytes:
            self._queue_dropped_packets += 1
            return
        self._queue.append(frame)
        self._queue_bytes += size
        if len(self._queue) == 1:
            self._schedule_head(now_ns)

    def _leave_queue(self) -> bytes:
        now_ns = self._head_due_ns
        frame = self._queue.popleft()
        size = len(frame)
        self._queue_bytes -= size
        self._refill(now_ns)
        self._tokens -= size * _TOKENS_A_BYTE
        if self._queue:
            self._schedule_head(now_ns)
        else:
            self._head_due_ns = NEVER_NS
        return frame

    def _schedule_head(self, now_ns: int) -> None:
        """Work out when the queue's first frame finds its tokens; afresh after each change."""
        self._refill(now_ns)
        lacking = len(self._queue[0]) * _TOKENS_A_BYTE - self._tokens
        rate_bps = self.settings.rate_bps
        if lacking <= 0 or rate_bps is None:
            self._head_due_ns = now_ns
        else:
            self._head_due_ns = now_ns - lacking // -rate_bps  # rounded up

    def _refill(self, now_ns: int) -> None:
        rate_bps = self.settings.rate_bps
        if rate_bps is None:
            self._tokens = _FULL_BUCKET
        else:
            tokens = self._tokens + (now_ns - self._tokens_at_ns) * rate_bps
            self._tokens = tokens if tokens < _FULL_BUCKET else _FULL_BUCKET
        self._tokens_at_ns = now_ns
