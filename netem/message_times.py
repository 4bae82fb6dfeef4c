"""Timed messages over one TCP connection across an emulated link, both ways."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from netem.goodput import connect
from netem.link import Link
from netem.stalls import StallWatch
from offload.errors import BackendError

_ACKNOWLEDGE_PATIENCE_S = 10.0
"""Retries double their wait; where losses come in long bursts the last one can take minutes."""
_CHUNK_BYTES = 256 * 1024
_IDLE_TIMEOUTS = 1.2
"""Idle for more than this many retransmission timeouts, so that the window has begun to shrink."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One message.

    Attributes:
        seconds: first byte handed to the socket to last byte read; None: given up.
        number: how many went before it on this connection, either way.
        idle_s: time the connection was idle before it.
        cwnd_segments: the sender's congestion window when it was last active.
        retransmits: segments sent anew for it.
        stall_s: longest that the router took to answer its console meanwhile; much above a few
            milliseconds, it was starved of CPU and the message's time is void.
    """

    seconds: float | None
    number: int
    idle_s: float
    cwnd_segments: int
    retransmits: int
    stall_s: float


@dataclass(frozen=True, slots=True)
class _Kernel:
    """What TCP_INFO says of a connection; the offsets are those of linux/tcp.h."""

    timeout_s: float
    unacknowledged: int
    cwnd_segments: int
    retransmits: int

    @classmethod
    def of(cls, connection: socket.socket) -> _Kernel:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        words = struct.unpack("8B24I", info)[8:]
        return cls(words[0] / 1e6, words[4], words[18], words[23])


class Messages:
    """A connection from the device to the edge; made anew after a message that was not finished.

    Args:
        link: an open link.
        congestion_control: of both ends.

    Raises:
        BackendError: no connection within 60 s.
    """

    def __init__(self, link: Link, congestion_control: str) -> None:
        self._link = link
        self._algorithm = congestion_control
        self._device, self._edge = self._connect()
        self._number = 0

    def __enter__(self) -> Messages:
        return self

    def __exit__(self, *raised: object) -> None:
        self._device.close()
        self._edge.close()

    def send(self, uplink: bool, n_bytes: int, *, idle_s: float, longest_s: float) -> Sent:
        """Wait until the connection was idle long enough, send, and wait for the last byte.

        Args:
            uplink: from the device to the edge.
            idle_s: shortest idle time; a long retransmission timeout prolongs it.
            longest_s: the message is given up after this.
        """
        idle_s = self._idle(idle_s)
        ends = (self._device, self._edge) if uplink else (self._edge, self._device)
        sender, receiver = ends
        before = _Kernel.of(sender)
        number, self._number = self._number, self._number + 1
        start: list[float] = []
        thread = threading.Thread(target=_send, args=(sender, n_bytes, start), daemon=True)
        with StallWatch(self._link) as stalls:
            thread.start()
            end_s = _receive(receiver, n_bytes, time.monotonic() + longest_s)
            stall_s = stalls.worst_s()
        retransmits = _Kernel.of(sender).retransmits - before.retransmits
        if end_s is None:
            self._renew()
        thread.join()
        seconds = None if end_s is None else end_s - start[0]
        return Sent(seconds, number, idle_s, before.cwnd_segments, retransmits, stall_s)

    def _idle(self, shortest_s: float) -> float:
        """Wait until all is acknowledged, or connect anew, then idle; how long."""
        begin_s = time.monotonic()
        while any(_Kernel.of(end).unacknowledged for end in (self._device, self._edge)):
            if time.monotonic() - begin_s > _ACKNOWLEDGE_PATIENCE_S:
                self._renew()
                break
            time.sleep(0.01)
        timeout_s = max(_Kernel.of(end).timeout_s for end in (self._device, self._edge))
        idle_s = max(shortest_s, _IDLE_TIMEOUTS * timeout_s)
        time.sleep(idle_s)
        return idle_s

    def _renew(self) -> None:
        """Drop the connection, let the link run empty, connect anew."""
        for end in (self._device, self._edge):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes the sending thread
            end.close()
        while any(
            direction.backlog_packets
            for direction in (self._link.stats().uplink, self._link.stats().downlink)
        ):
            time.sleep(0.05)
        self._device, self._edge = self._connect()
        self._number = 0

    def _connect(self) -> tuple[socket.socket, socket.socket]:
        edge = self._link.edge
        with edge.call(socket.create_server, (edge.address, 0)) as listener:
            ends = connect(self._link.device, listener, self._algorithm)
        for end in ends:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, self._algorithm.encode())
        return ends


@contextlib.contextmanager
def real_time() -> Iterator[bool]:
    """Run the calling process at real-time priority, where allowed; yields whether it is."""
    former = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        yield False
        return
    try:
        yield True
    finally:
        os.sched_setscheduler(0, *former)


def _send(sender: socket.socket, n_bytes: int, start: list[float]) -> None:
    message = bytes(n_bytes)
    sender.settimeout(None)
    start.append(time.monotonic())
    with contextlib.suppress(OSError):  # shut down: the message was given up
        sender.sendall(message)


def _receive(receiver: socket.socket, n_bytes: int, deadline_s: float) -> float | None:
    """When the last byte was read; None: not by the deadline."""
    buffer = bytearray(_CHUNK_BYTES)
    received = 0
    while received < n_bytes:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            return None
        receiver.settimeout(left_s)
        try:
            size = receiver.recv_into(buffer)
        except TimeoutError:
            return None
        if size == 0:
            raise BackendError("the connection was closed in the middle of a message")
        received += size
    return time.monotonic()
