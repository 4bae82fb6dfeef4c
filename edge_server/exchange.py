"""Requests and replies on one connection that is made again when it is given up."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import zmq

from edge_server.client_errors import error_of
from edge_server.connection import Connection, LinkUp
from edge_server.protocol import (
    Cancel,
    Done,
    ErrorCode,
    Failed,
    Pong,
    ProtocolError,
    Reply,
    Request,
    Run,
    Stats,
    check_frames,
    decode_reply,
    encode,
)
from edge_server.sockets import ZERO_COPY_BYTES
from edge_server.wish import Wish
from offload.errors import RemoteDisconnected, RemoteFailure, RemoteTimeout

_KNOCK_S = 1.0
_LITTLE_BYTES = 65_536
"""A cancel may wait behind so much of an upload; a longer one is cut off with its connection."""
ReplyT = TypeVar("ReplyT", Done, Pong, Stats)


class Exchange:
    """Sends requests and waits for their replies; one at a time, of one thread at a time.

    Args:
        connect: makes the connection, now and after each reset.
        endpoint: named in errors.
        has_keys: the connection has keys, for what an error says.
        max_reply_bytes: largest answer taken.
        on_pong: told of each pong, whoever waits for it or for something else.

    Attributes:
        wish: by which the caller ends the present request's waits.
        late_replies: answers that came after their request was given up, and were dropped.
        resets: connections dropped because an abandoned request was still being sent.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        endpoint: str,
        has_keys: bool,
        max_reply_bytes: int,
        on_pong: Callable[[Pong], None],
    ) -> None:
        self._connect = connect
        self._endpoint = endpoint
        self._has_keys = has_keys
        self._max_reply_bytes = max_reply_bytes
        self._on_pong = on_pong
        self._last_id = 0
        self._losses = 0
        self._refused_s: float | None = None
        self._why_none = ""
        self.late_replies = 0
        self.resets = 0
        self.connection = connect()
        self.wish = Wish()

    def next_id(self) -> int:
        """An id no request of this exchange had before."""
        self._last_id += 1
        return self._last_id

    def reset(self) -> None:
        """Drop the connection with all that is under way on it, and make another.

        Where that fails, for want of a descriptor, the next request tries again.
        """
        self.connection.close(abort=True)
        try:
            self.connection = self._connect()
        except zmq.ZMQError as error:
            self._why_none = str(error)

    def close(self) -> None:
        """Drop the connection for good."""
        self.connection.close(abort=True)
        self.wish.close()

    def wait_connected(self, deadline_s: float) -> None:
        """Wait until the connection stands.

        Raises:
            RemoteCancelled: the caller wants it no longer.
            RemoteDisconnected: it was refused or broke (known at once), or it takes too long.
            RemoteFailure: the server does not let this client in.
        """
        self.wish.check()
        if self.connection.closed:
            self._make_anew()
        self.connection.update()
        while self.connection.state is not LinkUp.READY:
            left_s = deadline_s - time.monotonic()
            if self.connection.state is LinkUp.REFUSED:
                raise RemoteDisconnected(self._no_answer(), unanswered=False)
            if self.connection.state is LinkUp.NOT_LET_IN:
                self._knock_again()
            if left_s <= 0:
                why = f"no connection to {self._endpoint} within the budget"
                raise RemoteDisconnected(why, unanswered=False)
            self.connection.poll(left_s, self.wish.descriptor)
            self.wish.check()
        self._losses = self.connection.losses
        self._refused_s = None

    def _knock_again(self) -> None:
        """Make another connection, but not at once: libzmq has given the refused one up for good.

        Raises:
            RemoteFailure: the server has said no, less than :data:`_KNOCK_S` ago.
        """
        now_s = time.monotonic()
        if self._refused_s is None:
            self._refused_s = now_s
        if now_s - self._refused_s < _KNOCK_S:
            raise RemoteFailure(ErrorCode.UNAUTHORISED, self._not_let_in())
        self._refused_s = None
        self._make_anew()

    def _make_anew(self) -> None:
        """Make another connection.

        Raises:
            RemoteDisconnected: there is no descriptor for it.
        """
        self.reset()
        if self.connection.closed:
            why = f"no connection to {self._endpoint} can be made: {self._why_none}"
            raise RemoteDisconnected(why, unanswered=False)

    def send(self, header: Request, payload: bytes = b"") -> None:
        """Hand one request over for sending, without waiting.

        Raises:
            RemoteTimeout: the queue is full of what the server does not take.
        """
        socket = self.connection.socket
        try:
            socket.send(encode(header), zmq.NOBLOCK | zmq.SNDMORE)
            socket.send(payload, zmq.NOBLOCK, copy=len(payload) < ZERO_COPY_BYTES)
        except zmq.Again:
            self._give_up(header)
            why = f"{self._endpoint} takes no more data"
            raise RemoteTimeout(why, unanswered=False) from None

    def reply_to(
        self, request: Request, expected: type[ReplyT], deadline_s: float
    ) -> tuple[ReplyT, bytes]:
        """Wait for one reply; pongs are taken in and late replies dropped meanwhile.

        A run that is given up is cancelled.

        Raises:
            RemoteCancelled: the caller wants it no longer.
            RemoteTimeout: none came in time; RemoteDisconnected where the connection broke.
            RemoteError: the server refused, as :func:`edge_server.client_errors.error_of` says.
            ProtocolError: what came is none of this protocol.
        """
        losses = self._losses
        while True:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                self._give_up(request)
                raise RemoteTimeout(f"no answer from {self._endpoint} within the budget")
            if self.wish.wished:
                self._give_up(request, _LITTLE_BYTES)
                self.wish.check()
            if not self.connection.poll(left_s, self.wish.descriptor):
                if self.connection.losses != losses:
                    self.reset()  # else what was still queued would go to the next server
                    raise RemoteDisconnected(f"the connection to {self._endpoint} broke")
                continue
            reply, output = self._receive()
            if isinstance(reply, Pong):
                self._on_pong(reply)
            if isinstance(reply, Failed) and reply.id in (request.id, 0):
                raise error_of(reply)
            if reply.id == request.id:
                if not isinstance(reply, expected):
                    kind = type(reply).__name__
                    raise RemoteFailure(ErrorCode.BAD_REPLY, f"an unexpected {kind}")
                return reply, output
            if not (isinstance(reply, Pong) or _is_cancelled(reply)):
                self.late_replies += 1

    def _receive(self) -> tuple[Reply, bytes]:
        """Read one message, whole.

        Raises:
            ProtocolError: it is none of this protocol.
        """
        frames = self.connection.socket.recv_multipart(copy=False)
        try:
            reply = decode_reply(frames[0].bytes)
            zstd_bytes = reply.zstd_bytes if isinstance(reply, Done) else 0
            sizes = [len(frame) for frame in frames]
            check_frames(sizes, self._max_reply_bytes, reply.id, zstd_bytes)
            times = reply.times
            if not all(map(math.isfinite, (times.received_s, times.sent_s, times.compute_s))):
                raise ProtocolError(ErrorCode.BAD_REPLY, "a time that is no number", reply.id)
        except ProtocolError:
            self.reset()  # whatever speaks there, its next bytes are not to be trusted either
            raise
        return reply, frames[1].bytes

    def _give_up(self, request: Request, may_be_unsent: int = 0) -> None:
        """An upload still under way is dropped, with its connection.

        Where all has been sent the connection is kept, the server told that a run is wanted no
        longer, and the late answer dropped by its id.

        Args:
            request: what is given up.
            may_be_unsent: so many bytes that the server's kernel has not acknowledged are no upload
                yet, unless the link takes nothing. After a timeout that is what 0 means.
        """
        self.connection.update()
        unsent = self.connection.unsent_bytes()
        if unsent is None or unsent > may_be_unsent or (unsent and self.connection.is_stuck()):
            self.reset()
            self.resets += 1
        elif isinstance(request, Run):
            with suppress(zmq.Again):
                socket = self.connection.socket
                cancel = Cancel(request.id, request.task, request.attempt)
                socket.send(encode(cancel), zmq.NOBLOCK | zmq.SNDMORE)
                socket.send(b"", zmq.NOBLOCK)

    def _no_answer(self) -> str:
        # A server that cannot read the handshake says nothing, it closes the connection.
        lacks = "it has another key than the given" if self._has_keys else "it wants keys"
        return f"no edge server answers at {self._endpoint}, or {lacks}"

    def _not_let_in(self) -> str:
        if not self._has_keys:
            return f"{self._endpoint} wants a client with keys"
        return f"{self._endpoint} checks no keys, or has not authorised this client's"


def _is_cancelled(reply: Reply) -> bool:
    return isinstance(reply, Failed) and reply.code is ErrorCode.CANCELLED
