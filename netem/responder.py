"""The edge's side of the probes: echoes pings, times uplink trains, sends downlink trains."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace

from netem.dispersion import train_rate_bps
from netem.namespaces import Endpoint
from netem.probe_socket import open_probe_socket, receive
from netem.probe_wire import (
    HEADERS_BYTES,
    NO_COOKIE,
    TRAIN_BYTES,
    Kind,
    Message,
    cookie_for,
    decode,
    encode,
)

MAX_SESSIONS = 256
MAX_TRAINS_PER_S = 20
"""Downlink trains a session may ask for in a second; more are ignored."""


@dataclass(slots=True)
class _Session:
    """What is known of one prober."""

    echo_run: int = -1
    echoed: int = 0
    uplink_train: int = -1
    arrivals_ns: list[int] = field(default_factory=list)
    downlink_train: int = -1
    second: int = 0
    trains_this_second: int = 0


class ProbeResponder:
    """Answers :class:`netem.probes.LinkProber`; a context manager around a thread.

    Args:
        address: where to listen.
        port: UDP port; 0: any free one.
        endpoint: namespace to open the socket in; None: the caller's.

    Attributes:
        address: (host, port) it listens at.

    Raises:
        OSError: the address cannot be bound.
    """

    def __init__(self, address: str, port: int = 0, endpoint: Endpoint | None = None) -> None:
        if endpoint is None:
            self._socket = open_probe_socket(address, port)
        else:
            self._socket = endpoint.call(open_probe_socket, address, port)
        self.address: tuple[str, int] = self._socket.getsockname()
        self._secret = os.urandom(32)
        self._sessions: OrderedDict[tuple[tuple[str, int], bytes], _Session] = OrderedDict()
        self._stop_reads, self._stop_writes = socket.socketpair()
        self._thread: threading.Thread | None = None

    def serve(self) -> None:
        """Answer until :meth:`close` is called from another thread or a signal handler raises."""
        while True:
            ready, _, _ = select.select([self._socket, self._stop_reads], [], [])
            if self._stop_reads in ready:
                return
            self._answer_one()

    def start(self) -> ProbeResponder:
        """Serve in a thread of its own."""
        self._thread = threading.Thread(target=self.serve, name="probe responder", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop serving and close the socket. Idempotent."""
        if self._socket.fileno() < 0:
            return
        self._stop_writes.send(b"x")
        if self._thread is not None:
            self._thread.join()
        for opened in (self._socket, self._stop_reads, self._stop_writes):
            opened.close()

    def __enter__(self) -> ProbeResponder:
        return self.start()

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _answer_one(self) -> None:
        data, arrived_ns, sender = receive(self._socket)
        message = decode(data)
        if message is None:
            return
        cookie = cookie_for(self._secret, sender, message.session)
        if message.kind is Kind.HELLO:
            self._send(Message(Kind.COOKIE, message.session, cookie), sender)
        elif message.cookie == cookie:
            self._serve_session(message, arrived_ns, sender)

    def _serve_session(self, message: Message, arrived_ns: int, sender: tuple[str, int]) -> None:
        session = self._session_of(sender, message.session)
        if message.kind is Kind.PING:
            if session.echo_run != message.group:
                session.echo_run, session.echoed = message.group, 0
            session.echoed += 1
            held_ns = max(0, time.time_ns() - arrived_ns)
            pong = replace(message, kind=Kind.PONG, count=session.echoed, nanoseconds=held_ns)
            self._send(pong, sender)
        elif message.kind is Kind.UPLINK_TRAIN:
            if session.uplink_train != message.group:
                session.uplink_train, session.arrivals_ns = message.group, []
            if len(session.arrivals_ns) < message.count:
                session.arrivals_ns.append(arrived_ns)
        elif message.kind is Kind.REPORT_REQUEST:
            arrivals = session.arrivals_ns if session.uplink_train == message.group else []
            rate_bps = train_rate_bps(arrivals, TRAIN_BYTES + HEADERS_BYTES)
            report = replace(message, kind=Kind.REPORT, count=len(arrivals), rate_bps=rate_bps)
            self._send(report, sender)
        elif message.kind is Kind.TRAIN_REQUEST:
            self._send_train(session, message, sender)

    def _send_train(self, session: _Session, request: Message, sender: tuple[str, int]) -> None:
        if session.downlink_train == request.group:
            return  # a repeated request: that train has been sent
        second = int(time.monotonic())
        if session.second != second:
            session.second, session.trains_this_second = second, 0
        if session.trains_this_second >= MAX_TRAINS_PER_S:
            return
        session.trains_this_second += 1
        session.downlink_train = request.group
        first = replace(request, kind=Kind.DOWNLINK_TRAIN, cookie=NO_COOKIE)
        train = [encode(replace(first, index=index)) for index in range(request.count)]
        for data in train:
            self._send_bytes(data, sender)

    def _session_of(self, sender: tuple[str, int], session: bytes) -> _Session:
        key = (sender, session)
        found = self._sessions.get(key)
        if found is None:
            found = self._sessions[key] = _Session()
            if len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(key)
        return found

    def _send(self, message: Message, receiver: tuple[str, int]) -> None:
        self._send_bytes(encode(message), receiver)

    def _send_bytes(self, data: bytes, receiver: tuple[str, int]) -> None:
        try:
            self._socket.sendto(data, receiver)
        except OSError:
            return  # the way back is gone for now: to the prober that is loss
