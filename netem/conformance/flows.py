"""Numbered UDP packets in both directions at once, sent on a schedule and timed by the kernel.

Both ends' namespaces share one clock, so a packet's arrival less its departure is its one-way
delay. Sender and receiver are one thread: no lock of the interpreter stands between them. Where a
backend carries TCP connections alone, the same numbers travel as messages of one connection, and
are timed when they are read.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from netem.link import Link
from netem.probe_socket import open_probe_socket, receive
from netem.streams import connected_streams
from offload.types import FloatArray

HEADERS_BYTES = 42
"""Ethernet, IPv4 and UDP: what the link's queue counts beside the payload."""
SMALL_BYTES = 64 - HEADERS_BYTES
FULL_BYTES = 1514 - HEADERS_BYTES
_NUMBER = struct.Struct("!I")
_SILENCE_S = 0.5


@dataclass(frozen=True, slots=True)
class Flow:
    """What one direction is sent.

    Attributes:
        packets: how many.
        spacing_s: time between two.
        payload_bytes: of each; 42 bytes of headers come on top.
    """

    packets: int
    spacing_s: float
    payload_bytes: int = SMALL_BYTES


@dataclass(slots=True)
class Record:
    """What became of one direction's flow.

    Attributes:
        sent_ns: departure of each packet, by its number; wall clock.
        numbers: numbers of the packets that arrived, in order of arrival.
        arrived_ns: arrival of each of those; wall clock, stamped by the kernel.
        payload_bytes: length of each packet.
    """

    payload_bytes: int
    sent_ns: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    arrived_ns: list[int] = field(default_factory=list)

    @property
    def delays_s(self) -> FloatArray:
        """One-way delay of each packet that arrived, in order of arrival."""
        sent_ns = np.asarray(self.sent_ns)[np.asarray(self.numbers, dtype=int)]
        return (np.asarray(self.arrived_ns) - sent_ns) / 1e9

    @property
    def lost(self) -> NDArray[np.bool_]:
        """By number, whether a packet did not arrive."""
        lost = np.ones(len(self.sent_ns), dtype=bool)
        lost[np.asarray(self.numbers, dtype=int)] = False
        return lost

    @property
    def overtaken(self) -> int:
        """Packets that arrived after one with a higher number."""
        numbers = np.asarray(self.numbers, dtype=int)
        return int(np.sum(numbers < np.maximum.accumulate(numbers))) if len(numbers) else 0


@dataclass(frozen=True, slots=True)
class Exchange:
    """Both directions' records, and when the change in their middle was begun, if there was one."""

    up: Record
    down: Record
    changed_ns: int = 0


class _Way:
    """One direction while it is being sent; both sockets are connected."""

    def __init__(self, flow: Flow, sender: socket.socket, receiver: socket.socket) -> None:
        self.flow = flow
        self.sender = sender
        self.receiver = receiver
        self.record = Record(flow.payload_bytes)
        self._padding = bytes(flow.payload_bytes - _NUMBER.size)

    @property
    def due_s(self) -> float | None:
        """When the next packet leaves, counted from the start; None: all have left."""
        sent = len(self.record.sent_ns)
        return sent * self.flow.spacing_s if sent < self.flow.packets else None

    def send(self) -> None:
        packet = _NUMBER.pack(len(self.record.sent_ns)) + self._padding
        self.record.sent_ns.append(time.time_ns())
        self.sender.send(packet)

    def take(self) -> None:
        """Read all that has arrived."""
        while True:
            try:
                data, arrived_ns, _ = receive(self.receiver)
            except BlockingIOError:
                return
            self.record.numbers.append(_NUMBER.unpack_from(data)[0])
            self.record.arrived_ns.append(arrived_ns)


class _StreamWay(_Way):
    """The same over one direction of a TCP connection."""

    def __init__(self, flow: Flow, sender: socket.socket, receiver: socket.socket) -> None:
        super().__init__(flow, sender, receiver)
        self._unread = b""

    def take(self) -> None:
        length = self.flow.payload_bytes
        with contextlib.suppress(BlockingIOError):
            self._unread += self.receiver.recv(1 << 16)
        arrived_ns = time.time_ns()
        while len(self._unread) >= length:
            self.record.numbers.append(_NUMBER.unpack_from(self._unread)[0])
            self.record.arrived_ns.append(arrived_ns)
            self._unread = self._unread[length:]


def exchange(
    link: Link,
    up: Flow,
    down: Flow,
    *,
    longest_s: float,
    change_after_s: float = 0.0,
    change: Callable[[], None] | None = None,
    at_most_s: float = math.inf,
) -> Exchange:
    """Send a flow each way at the same time.

    Args:
        link: an open link.
        up: from the device to the edge.
        down: from the edge to the device.
        longest_s: the longest a packet may be under way; waiting ends half a second of silence
            after that.
        at_most_s: waiting ends so long after the last packet left, whatever is still missing.
        change_after_s: when to call ``change``, counted from the first packet.
        change: called once in the middle, to change the link under load.
    """
    with contextlib.ExitStack() as stack:
        device, edge = map(stack.enter_context, _sockets(link))
        make = _Way if link.carries_packets else _StreamWay
        ways = (make(up, device, edge), make(down, edge, device))
        for end in (device, edge):
            end.setblocking(False)
        changed_ns = 0
        begin = time.monotonic()
        while (due_s := _next_due_s(ways)) is not None:
            if change is not None and time.monotonic() - begin >= change_after_s:
                changed_ns = time.time_ns()
                change()
                change = None
            _receive_until(ways, begin + due_s)
            for way in ways:
                while way.due_s is not None and way.due_s <= time.monotonic() - begin:
                    way.send()
        _drain(ways, longest_s, time.monotonic() + at_most_s)
        return Exchange(ways[0].record, ways[1].record, changed_ns)


def _sockets(link: Link) -> tuple[socket.socket, socket.socket]:
    """The device's and the edge's, connected to each other."""
    if not link.carries_packets:
        device, edge = connected_streams(link)
        for end in (device, edge):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return device, edge
    device, edge = (end.call(open_probe_socket, end.address, 0) for end in (link.device, link.edge))
    device.connect(edge.getsockname())
    edge.connect(device.getsockname())
    return device, edge


def _next_due_s(ways: tuple[_Way, _Way]) -> float | None:
    due = [way.due_s for way in ways if way.due_s is not None]
    return min(due, default=None)


def _receive_until(ways: tuple[_Way, _Way], until: float) -> None:
    """Take what arrives until then; at least once, so that nothing overflows in a busy flow."""
    left_s = max(0.0, until - time.monotonic())
    while True:
        ready, _, _ = select.select([way.receiver for way in ways], [], [], left_s)
        for way in ways:
            if way.receiver in ready:
                way.take()
        left_s = until - time.monotonic()
        if left_s <= 0.0:
            return


def _drain(ways: tuple[_Way, _Way], longest_s: float, until: float) -> None:
    """Take what is still under way, until then at the longest."""
    quiet_since = time.monotonic() + longest_s
    seen = -1
    while time.monotonic() < min(until, quiet_since + _SILENCE_S):
        missing = sum(way.flow.packets - len(way.record.numbers) for way in ways)
        if missing == 0:
            return
        if missing != seen:
            seen = missing
            quiet_since = max(quiet_since, time.monotonic())
        _receive_until(ways, time.monotonic() + 0.02)
