"""Bounds what one peer, or all of them, can have the server hold; closes connections beyond it.

libzmq bounds a frame's size and counts whole messages. A message that never ends is bounded by
neither: its frames pile up unseen, before the program can read the first of them. So the kernel is
asked instead: it counts a connection's bytes, and libzmq's monitor names its descriptor. A
connection that has brought more bytes than the largest message since its last whole one is reset;
libzmq notices, and frees what it held.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator

import zmq
from zmq.utils.monitor import parse_monitor_message

from edge_server.security.connection_record import Connection
from edge_server.security.heap import give_back_free_heap, heap_bytes
from edge_server.security.tcp_counts import abort, tcp_counts, unread_bytes

LOOK_S = 0.05
"""Between two looks; they may take a tenth of the time at most, with thousands of connections."""
_LOOK_SHARE = 10
_SECOND_LOOK_S = 0.01
"""Between a connection's being over its bound and the look, at it alone, that closes it."""
_UNFINISHED_MESSAGES = 8
"""All peers together may have begun this many messages of the largest size."""
_UNREAD_ANSWERS = 4
"""One peer may leave this many answers of the largest size unread."""
_LISTENING_MS = 1000
_EVENTS_A_CALL = 10_000
"""Whoever connects without a pause may not hold up the loop; the next look reads on."""
_TRIM_S = 1.0
"""Until libzmq has freed what a connection held, and the heap can go back to the kernel."""
_SMALL_BYTES = 65_536
"""Who holds less is not to blame for a full heap."""
_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
# Not EVENT_ACCEPT_FAILED: without a descriptor left libzmq tries again without a pause, and tells
# of it faster than anybody can read.
_MONITORED = (
    zmq.EVENT_LISTENING
    | zmq.EVENT_ACCEPTED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | _FAILED
)
_log = logging.getLogger(__name__)


class Connections:
    """The connections of one bound socket; belongs to the thread of that socket.

    Args:
        bound: the socket, not bound yet.
        max_message_bytes: the largest whole message.
        max_heap_bytes: C heap in use beyond which the connections that hold most are closed.
        max_connections: more are not kept.

    Attributes:
        counts: handshakes ``accepted`` and ``refused`` (for whatever reason), and the connections
            ``closed_*`` by reason.
    """

    def __init__(
        self,
        bound: zmq.Socket[bytes],
        max_message_bytes: int,
        max_heap_bytes: int,
        max_connections: int,
    ) -> None:
        self._max_message_bytes = max_message_bytes
        self._max_heap_bytes = max_heap_bytes
        self._max_connections = max_connections
        self._by_descriptor: dict[int, Connection] = {}
        self._next_look_s = self._full_look_s = time.monotonic() + LOOK_S
        self._trim_at_s = math.inf
        self.counts: Counter[str] = Counter()
        name = f"inproc://connections-{id(self)}-{os.urandom(4).hex()}"
        bound.monitor(name, _MONITORED)
        self._bound = bound
        self._monitor = bound.context.socket(zmq.PAIR)
        self._monitor.setsockopt(zmq.RCVHWM, 0)  # a full monitor would stall the IO thread
        self._monitor.setsockopt(zmq.LINGER, 0)
        self._monitor.connect(name)

    def __len__(self) -> int:
        return len(self._by_descriptor)

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._by_descriptor.values())

    @property
    def next_look_s(self) -> float:
        """When :meth:`look` is due, on the monotonic clock."""
        return self._next_look_s

    def listening_descriptor(self) -> int | None:
        """The listening socket's, to be asked right after the bind; None: not told in time."""
        if not self._monitor.poll(_LISTENING_MS):
            return None
        return int(parse_monitor_message(self._monitor.recv_multipart())["value"])

    def of(self, descriptor: int) -> Connection:
        """The connection with that descriptor; one that nothing is known of where it has ended."""
        self._take_events()
        return self._by_descriptor.get(descriptor) or Connection()

    def has_room(self, connection: Connection, n_bytes: int) -> bool:
        """May that many more bytes be handed to libzmq for it? Counts them, if so."""
        room = _UNREAD_ANSWERS * self._max_message_bytes
        if connection.unread_bytes + n_bytes > room and connection.kernel is not None:
            counts = tcp_counts(connection.kernel)
            if counts is not None:
                connection.take_acked(counts.acked)
            if connection.unread_bytes + n_bytes > room:
                return False
        connection.sent_bytes += n_bytes
        return True

    def look(self) -> None:
        """Take in what the kernel counted since the last look, and close what is over a bound."""
        start_s = time.monotonic()
        self._take_events()
        if start_s > self._trim_at_s:
            self._trim_at_s = math.inf
            give_back_free_heap()
        suspects = [connection for connection in self if connection.suspect]
        is_second = bool(suspects) and start_s < self._full_look_s
        for connection in suspects if is_second else list(self):
            self._measure(connection)
        self._close_excess()
        self._close_largest()
        if not is_second:
            took_s = time.monotonic() - start_s
            self._full_look_s = start_s + max(LOOK_S, _LOOK_SHARE * took_s)
        self._next_look_s = self._full_look_s
        if any(connection.suspect for connection in self):
            self._next_look_s = min(self._full_look_s, start_s + _SECOND_LOOK_S)

    def shut(self, connection: Connection, reason: str) -> None:
        """Close a connection, if it still is that one; libzmq notices and frees what it held."""
        kernel = connection.kernel
        if kernel is None:
            return
        try:
            if kernel.getpeername() == connection.address:
                abort(kernel)
                if connection.held_bytes > _SMALL_BYTES:
                    self._trim_at_s = time.monotonic() + _TRIM_S
                self.counts[f"closed_{reason}"] += 1
                _log.info("the connection from %s is closed: %s", connection.address, reason)
        except OSError:
            pass  # it has ended; the monitor says so next
        self._forget(kernel.fileno())

    def shut_where(self, condition: Callable[[Connection], bool], reason: str) -> None:
        """Close every connection for which the condition holds."""
        for connection in [c for c in self._by_descriptor.values() if condition(c)]:
            self.shut(connection, reason)

    def close(self) -> None:
        """Let go of libzmq's descriptors and of the monitor; before the socket is closed."""
        for descriptor in list(self._by_descriptor):
            self._forget(descriptor)
        self._bound.disable_monitor()
        self._monitor.close(linger=0)

    def _take_events(self) -> None:
        for _ in range(_EVENTS_A_CALL):
            if not self._monitor.poll(0):
                return
            event = parse_monitor_message(self._monitor.recv_multipart())
            kind, value = event["event"], event["value"]
            if kind == zmq.EVENT_ACCEPTED:
                self._watch(value)
            elif kind == zmq.EVENT_DISCONNECTED:
                self._forget(value)
            elif kind == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.counts["accepted"] += 1
            elif kind & _FAILED:
                self.counts["refused"] += 1

    def _watch(self, descriptor: int) -> None:
        self._forget(descriptor)
        try:
            kernel = socket.socket(fileno=descriptor)
        except OSError:
            return  # it has ended; the monitor says so next
        try:
            address = kernel.getpeername()
        except OSError:
            kernel.detach()
            return
        self._by_descriptor[descriptor] = Connection(kernel, address)

    def _forget(self, descriptor: int) -> None:
        connection = self._by_descriptor.pop(descriptor, None)
        if connection is not None and connection.kernel is not None:
            connection.kernel.detach()  # libzmq closes it, or has
            connection.kernel = None

    def _measure(self, connection: Connection) -> None:
        """Two looks in a row over the bound are needed: the program may be behind in reading."""
        kernel = connection.kernel
        counts = tcp_counts(kernel) if kernel is not None else None
        if kernel is None or counts is None:
            return
        if connection.heard:
            connection.heard, connection.suspect = False, False
            connection.base_bytes = counts.received
        connection.take_acked(counts.acked)
        connection.held_bytes = counts.received - connection.base_bytes
        if connection.held_bytes > self._max_message_bytes:
            # What is still in the kernel, at most a few megabytes, burdens nobody but it.
            connection.held_bytes -= unread_bytes(kernel)
        if connection.held_bytes <= self._max_message_bytes:
            connection.suspect = False
        elif connection.suspect:
            self.shut(connection, "endless_message")
        else:
            connection.suspect = True

    def _close_excess(self) -> None:
        """Bound the unfinished messages of all peers together, and how many peers there are."""
        held_bytes = sum(connection.held_bytes for connection in self._by_descriptor.values())
        for connection in sorted(self._by_descriptor.values(), key=_worth_least):
            if held_bytes <= _UNFINISHED_MESSAGES * self._max_message_bytes:
                break
            held_bytes -= connection.held_bytes
            self.shut(connection, "unfinished_messages")
        excess = len(self._by_descriptor) - self._max_connections
        if excess > 0:  # the dictionary has them in the order they came in
            silent_first = sorted(self._by_descriptor.values(), key=lambda c: c.spoke)
            for connection in silent_first[:excess]:
                self.shut(connection, "too_many")

    def _close_largest(self) -> None:
        """Close who makes the server hold most, one a look, while the heap is over its bound.

        Frames of a few bytes take 64 of libzmq's, so bytes received are not the whole story.
        """
        in_use = heap_bytes()
        if in_use is None or in_use <= self._max_heap_bytes or not self._by_descriptor:
            return
        largest = max(
            self._by_descriptor.values(), key=lambda c: (c.held_bytes + c.unread_bytes, not c.spoke)
        )
        if largest.held_bytes + largest.unread_bytes > _SMALL_BYTES:
            self.shut(largest, "memory")


def _worth_least(connection: Connection) -> tuple[bool, int]:
    """Order in which connections go: those that never spoke, then those that hold most."""
    return connection.spoke, -connection.held_bytes
