"""Bookkeeping of a run of pings: round-trip times, and which way each missing one was lost."""

from __future__ import annotations

from netem.probe_results import Echoes, PingGap
from netem.probe_wire import Message


class PingRun:
    """Pings of one group, numbered from 0. Pure: told what was sent and what came back.

    Each answer says how many pings of the group the edge had received, so what is missing between
    two answers was lost on the way up where the edge did not count it, else on the way down.

    Attributes:
        group: the number its messages carry.
        sent: pings sent so far.
        unanswered: pings sent since the last one that was answered.
        rtts_s: of those answered, in the order they came back.
    """

    def __init__(self, group: int) -> None:
        self.group = group
        self.sent = 0
        self.unanswered = 0
        self.rtts_s: list[float] = []
        self._sent_ns: dict[int, int] = {}
        self._last_index = -1
        self._reached_edge = 0

    def send(self, now_ns: int) -> int:
        """Note a ping sent now; returns its index."""
        index = self.sent
        self._sent_ns[index] = now_ns
        self.sent += 1
        self.unanswered += 1
        return index

    def answered(self, pong: Message, arrived_ns: int) -> tuple[float, PingGap] | None:
        """Take in an answer.

        Returns:
            Its round-trip time, the edge's own time taken off, and what became of the pings
            before it; None: no answer to this run, or a second copy.
        """
        sent_ns = self._sent_ns.pop(pong.index, None) if pong.group == self.group else None
        if sent_ns is None:
            return None
        rtt_s = max(0, arrived_ns - sent_ns - pong.nanoseconds) / 1e9
        self.rtts_s.append(rtt_s)
        if pong.index < self._last_index:
            return rtt_s, PingGap(0, 0, 0, 0, late=True)
        since = pong.index - self._last_index
        reached = max(1, min(pong.count - self._reached_edge, since))
        self._last_index = pong.index
        self._reached_edge = max(self._reached_edge, min(pong.count, pong.index + 1))
        self.unanswered = self.sent - pong.index - 1
        return rtt_s, PingGap(since, since - reached, reached, reached - 1)

    def echoes(self) -> Echoes:
        """The run as a whole."""
        if not self.rtts_s:
            return Echoes(max(1, self.sent), (), 1.0, 1.0)
        return Echoes(
            sent=self.sent,
            rtts_s=tuple(self.rtts_s),
            uplink_loss=1.0 - self._reached_edge / (self._last_index + 1),
            downlink_loss=max(0.0, 1.0 - len(self.rtts_s) / self._reached_edge),
        )
