"""Forwarded ports and the pairs of connections behind them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from random import Random

from netem.proxying.lane import SEGMENT_BYTES, Lane, Piece
from netem.proxying.messages import Counted, Settings

ADDRESS = "127.0.0.1"
MAX_PAIRS = 400
"""Pairs at once; one more is reset. select(), whose timeouts are exact, ends at 1,024 sockets."""
_BUFFER_BYTES = 128 * 1024
"""Of each kernel buffer, so that what waits, waits in the lane's queue."""
_READ_BYTES = 65_536
_NOTHING = memoryview(b"")
_END, _RESET = "end", "reset"


class Proxy:
    """Both lanes, and the ports forwarded through them. Runs in one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.uplink: Lane[Side] = Lane(Random())
        self.downlink: Lane[Side] = Lane(Random())
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._ports: dict[int, int] = {}
        self._sides: set[Side] = set()
        self._connecting: set[asyncio.Task[None]] = set()

    def apply(self, settings: Settings) -> Settings:
        """Set both lanes; returns what they hold."""
        now_s = self._loop.time()
        for lane, wanted in ((self.uplink, settings.uplink), (self.downlink, settings.downlink)):
            lane.set(wanted, now_s)
            self.advance(lane)
        return Settings(self.uplink.settings, self.downlink.settings)

    def count(self) -> Counted:
        """Counters of both lanes."""
        return Counted(self.uplink.count(), self.downlink.count())

    async def forward(self, port: int) -> int:
        """The port that leads to ``port`` of the edge, opened at the first call."""
        if port not in self._ports:
            listener = _small_socket()
            listener.bind((ADDRESS, 0))
            await self._loop.create_server(lambda: self._accept(port), sock=listener)
            self._ports[port] = listener.getsockname()[1]
        return self._ports[port]

    def offer(self, lane: Lane[Side], piece: Piece[Side]) -> None:
        """Send a piece down a lane."""
        lane.offer(piece, self._loop.time())
        self.advance(lane)

    def advance(self, lane: Lane[Side]) -> None:
        """Deliver what is due, let senders go on or wait, and wake up for what comes next."""
        for piece in lane.due(self._loop.time()):
            piece.sink.deliver(piece)
        for side in self._sides:
            if side.lane is lane:
                side.read_or_wait()
        timer = self._timers.pop(id(lane), None)
        if timer is not None:
            timer.cancel()
        next_s = lane.next_s()
        if next_s is not None:
            self._timers[id(lane)] = self._loop.call_at(next_s, self.advance, lane)

    def joined(self, side: Side) -> None:
        """Take note of a side that has its connection."""
        self._sides.add(side)

    def left(self, side: Side) -> None:
        """Forget a side whose connection is gone."""
        self._sides.discard(side)

    def connect(self, port: int, near: Side, far: Side) -> None:
        """Connect ``far`` to the edge's ``port``; where that is refused, ``near`` is reset."""
        task = self._loop.create_task(self._connect(port, near, far))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, port: int, near: Side, far: Side) -> None:
        sock = _small_socket()
        try:
            if len(self._sides) > 2 * MAX_PAIRS:
                raise ConnectionRefusedError
            sock.setblocking(False)
            await self._loop.sock_connect(sock, (ADDRESS, port))
            await self._loop.create_connection(lambda: far, sock=sock)
        except OSError:
            sock.close()
            # A refusal comes back after a round trip, without waiting in the queues.
            round_trip_s = self.uplink.settings.delay_s + self.downlink.settings.delay_s
            self._loop.call_later(round_trip_s, near.reset)
        else:
            near.read_or_wait()

    def _accept(self, port: int) -> Side:
        near, far = Side(self, self.uplink), Side(self, self.downlink)
        near.peer, far.peer = far, near
        near.edge_port = port
        return near


class Side(asyncio.BufferedProtocol):
    """One of the two connections of a pair: reads into its lane, writes what the peer's brings."""

    def __init__(self, proxy: Proxy, lane: Lane[Side]) -> None:
        self._proxy = proxy
        self.lane = lane
        self.peer = self
        self.edge_port: int | None = None
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray(_READ_BYTES)
        self._reading = True
        self._read_all = False
        self._wrote_all = False
        self._full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the other connection before anything is read."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._proxy.joined(self)
        self.read_or_wait()
        if self.edge_port is not None:
            self._proxy.connect(self.edge_port, self, self.peer)

    def get_buffer(self, sizehint: int) -> memoryview:
        """No more than the queue has room for."""
        room = max(1, min(_READ_BYTES, self.lane.room_bytes()))
        return memoryview(self._buffer)[:room]

    def buffer_updated(self, nbytes: int) -> None:
        """Some bytes came."""
        data = memoryview(bytes(self._buffer[:nbytes]))
        self._proxy.offer(self.lane, Piece(self.peer, data))

    def eof_received(self) -> bool:
        """The sender has sent all; it may still listen. True: keep the connection open."""
        self._read_all = True
        self._proxy.offer(self.lane, Piece(self.peer, _NOTHING, _END))
        return not self._wrote_all

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone: what it sent still arrives, then the other side is reset."""
        self._proxy.left(self)
        transport, self._transport = self._transport, None
        if transport is not None and not (self._read_all and self._wrote_all):
            self._proxy.offer(self.lane, Piece(self.peer, _NOTHING, _RESET))

    def pause_writing(self) -> None:
        """Whoever reads here is slow: its sender has to wait."""
        self._full = True
        self.peer.read_or_wait()

    def resume_writing(self) -> None:
        """The sender may go on."""
        self._full = False
        self.peer.read_or_wait()

    def deliver(self, piece: Piece[Side]) -> None:
        """Write what has come through the peer's lane."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if piece.mark == _RESET:
            self.reset()
        elif piece.mark == _END:
            self._wrote_all = True
            if self._read_all:
                transport.close()
            else:
                transport.write_eof()
        else:
            transport.write(piece.data)

    def reset(self) -> None:
        """Drop the connection with a TCP reset."""
        transport, self._transport = self._transport, None
        if transport is not None:
            sock = transport.get_extra_info("socket")
            with contextlib.suppress(OSError):  # the other end was quicker
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()

    def read_or_wait(self) -> None:
        """Read on while the peer stands, takes what comes, and the queue has room."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._read_all:
            return
        needed = SEGMENT_BYTES if self._reading else min(_READ_BYTES, self.lane.queue_bytes() // 2)
        may = self.peer.stands and not self.peer._full and self.lane.room_bytes() >= needed
        if may != self._reading:
            self._reading = may
            (transport.resume_reading if may else transport.pause_reading)()

    @property
    def stands(self) -> bool:
        """Whether it has a connection to write to."""
        return self._transport is not None


def _small_socket() -> socket.socket:
    """A TCP socket with short buffers, which its accepted connections take over."""
    # asyncio turns Nagle's algorithm off where it sees the protocol's number.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        sock.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
    return sock
