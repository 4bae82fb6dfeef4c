"""The row of many connections that say nothing, too little or too slowly, or that never end."""

from __future__ import annotations

import itertools
import resource
import time

from edge_server.protocol import MAX_HEADER_BYTES, Ping, encode
from evidence.chaos.bystander import bystander, served, wait_until_served
from evidence.chaos.parts import Server, rss_bytes
from evidence.chaos.rows import Bound, RowRun, at_least, at_most, told
from evidence.chaos.zmtp import RawPeer, frame, greeting, ready

_LASTS_S = (10.0, 60.0)
_WORST_S = 1.0
_SPARE_DESCRIPTORS = 200
_ENDLESS = frame(bytes(65_536), more=True)
_ENDLESS_BYTES = 256 * 2**20
_MAX_GROWTH_BYTES = 256 * 2**20
_RETRY_S = 1.0


def idle_sockets(run: RowRun) -> list[Bound]:
    """Connections that never speak, stop in mid-handshake, or write one byte now and then.

    The server closes those that finish no handshake; they come back at once. At the end one sends
    a message that does not end, 256 MiB of it.
    """
    _allow_descriptors(2 * run.count + _SPARE_DESCRIPTORS)
    lasts_s = _LASTS_S[0 if run.short else 1]
    with Server(run.history, {"workers": 1}) as server, bystander(run, server):
        wait_until_served(run)
        began_s = time.monotonic()
        before_bytes = rss_bytes(server.pid)
        crowd = [_Idler(server.port, number) for number in range(run.count)]
        try:
            until_s = time.monotonic() + lasts_s
            for number in itertools.cycle(range(run.count)):
                crowd[number].trickle()
                if number == 0:
                    run.progress(sum(idler.open for idler in crowd))
                    time.sleep(0.1)
                    if time.monotonic() > until_s:
                        break
            still_open = sum(idler.open for idler in crowd)
            taken_bytes = _never_end(server.port)
            wait_until_served(run)
        finally:
            for idler in crowd:
                idler.close()
        grown_bytes = rss_bytes(server.pid) - before_bytes
    return [
        at_least("connections open at the end", 0.9 * run.count, still_open),
        *served(run, began_s, _WORST_S),
        at_most("MiB taken of a message that does not end", 255, taken_bytes / 2**20),
        at_most("MiB that the server grew by", _MAX_GROWTH_BYTES / 2**20, grown_bytes / 2**20),
        told("comings back", str(sum(idler.returns for idler in crowd))),
    ]


class _Idler:
    """A connection that speaks a little, by its number: nothing, a greeting, a byte at a time."""

    def __init__(self, port: int, number: int) -> None:
        self._port = port
        self._kind = number % 4
        header = encode(Ping(1)) + bytes(MAX_HEADER_BYTES)
        slow = frame(header[:255], more=True)
        self._opening = (b"", greeting(), greeting() + ready(), greeting() + ready())[self._kind]
        self._trickle = itertools.cycle(slow) if self._kind == 3 else None
        self._retry_s = 0.0
        self.returns = -1
        self.open = False
        self._peer: RawPeer | None = None
        self.trickle()

    def trickle(self) -> None:
        """Write one byte, if it is of that kind; come back, if the server has closed it."""
        if self._peer is not None and self._peer.is_closed(0.0):
            self.close()
        if self._peer is None:
            self._come()
        elif self._trickle is not None and not self._peer.send(bytes([next(self._trickle)])):
            self.close()

    def close(self) -> None:
        """Close it; may be called twice."""
        if self._peer is not None:
            self._peer.socket.close()
            self._peer, self.open = None, False

    def _come(self) -> None:
        if time.monotonic() < self._retry_s:
            return
        try:
            self._peer = RawPeer(self._port)
            self.open = self._peer.send(self._opening)
            self.returns += 1
        except OSError:  # the backlog is full
            self._retry_s = time.monotonic() + _RETRY_S


def _never_end(port: int) -> int:
    """Send frame after frame of one message; how many bytes went before the server hung up."""
    sent = 0
    with RawPeer(port, timeout_s=10.0) as peer:
        peer.shake_hands()
        while sent < _ENDLESS_BYTES and peer.send(_ENDLESS):
            sent += len(_ENDLESS)
    return sent


def _allow_descriptors(count: int) -> None:
    """Raise this process's limit, which the server inherits, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, count) if hard == resource.RLIM_INFINITY else min(hard, max(soft, count))
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
