"""Hellos, pings and trains of a device over one UDP socket; what they say is not judged here."""

from __future__ import annotations

import math
import os
import select
import time
from collections.abc import Callable
from dataclasses import replace

from netem.dispersion import train_rate_bps
from netem.loopback import refuse_to_pass_by
from netem.namespaces import Endpoint
from netem.ping_run import PingRun
from netem.probe_results import PingGap, ProbeCost
from netem.probe_socket import open_probe_socket, receive
from netem.probe_wire import (
    HEADERS_BYTES,
    MAX_TRAIN_PACKETS,
    NO_COOKIE,
    TRAIN_BYTES,
    Kind,
    Message,
    decode,
    encode,
)

MIN_TRAIN_PACKETS = 10
ASK_AGAIN_S = 0.05
"""Between repeats of what nobody answered."""
_FRAME_BITS = 8 * (TRAIN_BYTES + HEADERS_BYTES)
OnPong = Callable[[float, PingGap], object]


class ProbeExchange:
    """One conversation with a :class:`netem.responder.ProbeResponder`. Not safe for two threads.

    Args:
        edge_address: address of the responder.
        port: its UDP port.
        endpoint: namespace to open the socket in; None: the caller's.
        on_pong: told the round-trip time and the :class:`PingGap` of each answered ping.

    Attributes:
        cost: what it has cost so far.
    """

    def __init__(
        self, edge_address: str, port: int, endpoint: Endpoint | None, on_pong: OnPong
    ) -> None:
        if endpoint is None:
            self._socket = open_probe_socket("0.0.0.0", 0)
        else:
            refuse_to_pass_by(endpoint, "UDP")
            self._socket = endpoint.call(open_probe_socket, "0.0.0.0", 0)
        self._peer = (edge_address, port)
        self._on_pong = on_pong
        self._session = os.urandom(8)
        self._cookie = NO_COOKIE
        self._group = 0
        self.cost = ProbeCost()

    def close(self) -> None:
        """Close the socket. Idempotent."""
        self._socket.close()

    @property
    def is_known(self) -> bool:
        """The responder has answered a hello, and was not forgotten since."""
        return self._cookie != NO_COOKIE

    def forget(self) -> None:
        """Greet the responder again next time: it may have been started anew."""
        self._cookie = NO_COOKIE

    def greet(self, deadline: float) -> float | None:
        """Say hello until answered; returns the seconds it took, None where nobody answered."""
        begin = time.monotonic()
        found = self._ask(Message(Kind.HELLO, self._session), Kind.COOKIE, deadline)
        if found is None:
            return None
        self._cookie = found[0].cookie
        return time.monotonic() - begin

    def new_run(self) -> PingRun:
        """A run of pings with a group number of its own."""
        self._group += 1
        return PingRun(self._group)

    def ping(self, run: PingRun) -> None:
        """Send the next ping of a run."""
        now_ns = time.time_ns()
        index = run.send(now_ns)
        self._send(Message(Kind.PING, self._session, self._cookie, run.group, index))

    def take_pong(self, run: PingRun, until: float) -> bool:
        """Wait for one answer to a run and report it; False where none came in time."""
        while (found := self._receive(until)) is not None:
            if found[0].kind is not Kind.PONG:
                continue
            taken = run.answered(*found)
            if taken is not None:
                self._on_pong(*taken)
                return True
        return False

    def echo(
        self,
        more: Callable[[PingRun], bool],
        spacing_s: Callable[[PingRun], float],
        patience_s: float,
    ) -> PingRun:
        """Ping as long as ``more`` says so, ``spacing_s`` apart, then wait for the last answers.

        Both are asked before each ping, with what has come back by then.
        """
        run = self.new_run()
        due = time.monotonic()
        while more(run):
            if time.monotonic() < due:
                self.take_pong(run, due)
            else:
                self.ping(run)
                due += spacing_s(run)
        end = time.monotonic() + patience_s
        while len(run.rtts_s) < run.sent and time.monotonic() < end:
            self.take_pong(run, end)
        return run

    def uplink_train(self, packets: int, deadline: float) -> float:
        """Send a train; returns its rate at the edge in bit/s, 0.0 where that is not known."""
        self._group += 1
        group = self._group
        train = [
            encode(Message(Kind.UPLINK_TRAIN, self._session, self._cookie, group, index, packets))
            for index in range(packets)
        ]
        for data in train:
            self._send_bytes(data)
        # Asked right behind the train, in the same queue: it arrives when the train has.
        request = Message(Kind.REPORT_REQUEST, self._session, self._cookie, group)
        found = self._ask(request, Kind.REPORT, deadline)
        return 0.0 if found is None else found[0].rate_bps

    def downlink_train(self, packets: int, deadline: float, idle_s: float) -> float:
        """Have a train sent; returns its rate here in bit/s, 0.0 where too little of it came.

        Args:
            packets: its length.
            idle_s: after so long without a packet the rest counts as lost.
        """
        self._group += 1
        group = self._group
        request = Message(Kind.TRAIN_REQUEST, self._session, self._cookie, group, 0, packets)
        found = self._ask(request, Kind.DOWNLINK_TRAIN, deadline)
        arrivals_ns: list[int] = []
        while found is not None:
            packet, arrived_ns = found
            if packet.kind is Kind.DOWNLINK_TRAIN and packet.group == group:
                arrivals_ns.append(arrived_ns)
                if packet.index + 1 == packet.count:
                    break
            # The last packet may be lost: wait no longer than any gap seen so far explains.
            gap_s = (arrivals_ns[-1] - arrivals_ns[0]) / 1e9 / max(1, len(arrivals_ns) - 1)
            until = min(deadline, time.monotonic() + max(idle_s, 4 * gap_s))
            found = self._receive(until)
        return train_rate_bps(arrivals_ns, TRAIN_BYTES + HEADERS_BYTES)

    def _ask(self, request: Message, wanted: Kind, deadline: float) -> tuple[Message, int] | None:
        """Ask until the first answer to this group; the responder answers repeats but once.

        Every 50 ms: where loss comes in bursts counted in packets, a patient asker who sends one
        packet at a time would stay within the burst.
        """
        while time.monotonic() < deadline:
            self._send(request)
            until = min(deadline, time.monotonic() + ASK_AGAIN_S)
            while (found := self._receive(until)) is not None:
                if found[0].kind is wanted and found[0].group == request.group:
                    return found
        return None

    def _send(self, message: Message) -> None:
        self._send_bytes(encode(message))

    def _send_bytes(self, data: bytes) -> None:
        try:
            self._socket.sendto(data, self._peer)
        except OSError:
            return  # no way to the edge for now: that is loss, not an error of the caller's
        sent = self.cost.uplink_bytes + len(data) + HEADERS_BYTES
        self.cost = replace(self.cost, uplink_bytes=sent)

    def _receive(self, until: float) -> tuple[Message, int] | None:
        """The next message of ours and its arrival time; None: none came in time."""
        while True:
            left_s = until - time.monotonic()
            if not select.select([self._socket], [], [], max(0.0, left_s))[0]:
                return None
            data, arrived_ns, sender = receive(self._socket)
            message = decode(data)
            if sender != self._peer or message is None or message.session != self._session:
                continue
            taken = self.cost.downlink_bytes + len(data) + HEADERS_BYTES
            self.cost = replace(self.cost, downlink_bytes=taken)
            return message, arrived_ns


def train_packets(rate_bps: float, train_s: float) -> int:
    """Packets that keep a bottleneck of that rate busy for ``train_s``; the least for rate 0."""
    return min(
        MAX_TRAIN_PACKETS, max(MIN_TRAIN_PACKETS, math.ceil(rate_bps * train_s / _FRAME_BITS))
    )
