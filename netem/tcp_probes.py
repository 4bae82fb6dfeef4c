"""Measures a link over TCP alone, where UDP probes do not pass: RTT, jitter, and both rates.

It cannot see loss, which TCP hides: a :class:`LinkState` from here says 0.
"""

from __future__ import annotations

import contextlib
import math
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

from netem.estimator import LinkTracker
from netem.probe_results import PingGap, ProbeCost
from netem.tcp_responder import (
    DOWNLOAD,
    ECHO,
    FULL_FRAME,
    MAX_BYTES,
    REPORT,
    REQUEST,
    UPLOAD,
    read_exactly,
    timed_bps,
)
from offload.types import LinkState

UNKNOWN_RATE_BPS = 1e3
_NO_COUNT = PingGap(0, 0, 0, 0)
"""What TCP lost and sent again, nobody sees."""
PINGS = 12
_PING_BYTES = 64
_PINGING_SHARE = 0.4
"""Of a measurement's time; then four pings have to do."""
_LEAST_PINGS = 4
_FIRST_BYTES = 16_384
_TIMED_S = 0.15
_TIMED_JITTERS = 10
"""A transfer that long, or so many jitters, evens out jitter and the pieces of a stream."""
_MOST_TIMED_S = 0.4
_GROWTH = 8
"""A transfer that was too short is followed by one at most so many times as long."""
_RATE_SD = 0.05
"""Of the logarithm of a rate measured so."""


class TcpProber:
    """Knows the state of a link by probing it; implements ``offload.interfaces.LinkEstimator``.

    It has the methods of :class:`netem.probes.LinkProber` that a device uses, belongs to one
    thread, and probes only when it is asked to.

    Args:
        address: where the :class:`netem.tcp_responder.TcpProbeResponder` is reached.
        port: its port.
        tracker: where samples flow into.
    """

    def __init__(self, address: str, port: int, *, tracker: LinkTracker | None = None) -> None:
        self._peer = (address, port)
        self._tracker = tracker or LinkTracker()
        self._connection: socket.socket | None = None
        self._waited_s = 0.0
        self.cost = ProbeCost()

    def start(self) -> TcpProber:
        """Nothing runs in the background here."""
        return self

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Nothing to hold back: no probe is sent unasked."""
        yield

    def state(self) -> LinkState:
        """The estimate so far with its age, and what stands for the unknown; measures if new."""
        if self.cost.measurements == 0:
            self.measure()
        found = self._tracker.state()
        return LinkState(
            rtt_s=self._waited_s if math.isnan(found.rtt_s) else found.rtt_s,
            jitter_s=0.0 if math.isnan(found.jitter_s) else found.jitter_s,
            loss=found.loss,
            uplink_bps=UNKNOWN_RATE_BPS if math.isnan(found.uplink_bps) else found.uplink_bps,
            downlink_bps=UNKNOWN_RATE_BPS if math.isnan(found.downlink_bps) else found.downlink_bps,
            age_s=found.age_s,
        )

    def measure(self, timeout_s: float = 4.0) -> LinkState:
        """Probe the link now, and return the estimate with it. A link that is down has loss 1.

        Takes a dozen round trips (four on a slow link) and a transfer or two each way, of 0.2 s, or
        up to 0.6 s under jitter.
        """
        until = time.monotonic() + timeout_s
        self._waited_s = timeout_s
        self.cost = replace(self.cost, measurements=self.cost.measurements + 1)
        try:
            connection = self._connected(until)
            self._ping(connection, time.monotonic() + _PINGING_SHARE * timeout_s)
        except OSError:
            self._disconnect()
            self._tracker.saw_silence()
            return self.state()
        try:
            for uplink in (True, False):
                self._find_rate(connection, until, uplink=uplink)
        except OSError:  # out of time: that rate stays what it was
            self._disconnect()
        return self.state()

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._disconnect()

    def _connected(self, until: float) -> socket.socket:
        if self._connection is None:
            self._connection = socket.create_connection(self._peer, timeout=_left_s(until))
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.settimeout(_left_s(until))
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _ping(self, connection: socket.socket, until: float) -> None:
        request = REQUEST.pack(ECHO, _PING_BYTES) + bytes(_PING_BYTES)
        for index in range(PINGS):
            if index >= _LEAST_PINGS and time.monotonic() > until:
                return
            begin_s = time.perf_counter()
            connection.sendall(request)
            read_exactly(connection, _PING_BYTES)
            self._tracker.saw_ping(time.perf_counter() - begin_s, _NO_COUNT)
            self._spent(uplink=len(request), downlink=_PING_BYTES)

    def _find_rate(self, connection: socket.socket, until: float, *, uplink: bool) -> None:
        """Transfers of growing size until one takes long enough to time it."""
        found = self._tracker.estimate()
        jitter_s = 0.0 if math.isnan(found.jitter.value) else found.jitter.value
        timed_s = min(_MOST_TIMED_S, max(_TIMED_S, _TIMED_JITTERS * jitter_s))
        known_bps = (found.uplink if uplink else found.downlink).value
        size = _FIRST_BYTES if math.isnan(known_bps) else _bytes_for(known_bps, timed_s)
        while True:
            connection.settimeout(_left_s(until))
            payload_bps = self._transfer(connection, size, uplink=uplink)
            took_s = 8 * size / payload_bps if payload_bps else 0.0
            if took_s >= timed_s or size == MAX_BYTES:
                if payload_bps:
                    self._tracker.saw_rate(payload_bps * FULL_FRAME, _RATE_SD, uplink=uplink)
                return
            # What came in one piece says nothing, and a short transfer may look fast by chance.
            wanted = _bytes_for(payload_bps, timed_s) if payload_bps else MAX_BYTES
            size = min(max(wanted, 2 * size), _GROWTH * size, MAX_BYTES)

    def _transfer(self, connection: socket.socket, size: int, *, uplink: bool) -> float:
        if uplink:
            connection.sendall(REQUEST.pack(UPLOAD, size) + bytes(size))
            self._spent(uplink=size, downlink=REPORT.size)
            (payload_bps,) = REPORT.unpack(read_exactly(connection, REPORT.size))
            return float(payload_bps)
        connection.sendall(REQUEST.pack(DOWNLOAD, size))
        self._spent(uplink=REQUEST.size, downlink=size)
        return timed_bps(connection, size)

    def _spent(self, *, uplink: int, downlink: int) -> None:
        self.cost = replace(
            self.cost,
            uplink_bytes=self.cost.uplink_bytes + round(uplink * FULL_FRAME),
            downlink_bytes=self.cost.downlink_bytes + round(downlink * FULL_FRAME),
        )


def _bytes_for(rate_bps: float, seconds: float) -> int:
    """Bytes that take half as long again at that rate."""
    return min(MAX_BYTES, max(_FIRST_BYTES // 2, round(1.5 * rate_bps * seconds / 8)))


def _left_s(until: float) -> float:
    return max(0.05, until - time.monotonic())
