"""The server's messages: whole and checked ones in, replies out."""

from __future__ import annotations

import logging
import time
from typing import NamedTuple

import zmq

from edge_server.compression import decompress
from edge_server.jobs import Buffer, Job, TaskResult
from edge_server.protocol import (
    FRAMES,
    Done,
    ErrorCode,
    Failed,
    ProtocolError,
    Reply,
    Request,
    Run,
    Times,
    check_frames,
    clock_name,
    decode_request,
    encode,
    short_message,
)
from edge_server.security.gate import Gate
from edge_server.sockets import ZERO_COPY_BYTES
from edge_server.watching.logs import log_task
from edge_server.watching.tally import OK, ServerTally

_log = logging.getLogger(__name__)


class Message(NamedTuple):
    """A request that keeps every rule.

    Attributes:
        peer: the ROUTER's routing id of the connection.
        payload: empty but for a :class:`~edge_server.protocol.Run`.
    """

    peer: bytes
    request: Request
    payload: Buffer
    received_s: float


class Mailbox:
    """Reads and writes one ROUTER socket, and answers itself what breaks a rule.

    Args:
        router: the bound socket.
        gate: who is let in, and how much may be on its way to each.
        max_payload_bytes: each way, as sent and as decompressed.

    Attributes:
        received: messages of any sort.
        tally: what became of the tasks, and messages refused.
        undeliverable: replies whose client had gone or did not read.
    """

    def __init__(self, router: zmq.Socket[bytes], gate: Gate, max_payload_bytes: int) -> None:
        self._router = router
        self._gate = gate
        self._max_payload_bytes = max_payload_bytes
        self._clock_name = clock_name()
        self.received = self.undeliverable = 0
        self.tally = ServerTally()

    def receive(self) -> Message | None:
        """The next request; None when there is none now."""
        while True:
            try:
                peer = self._router.recv(zmq.NOBLOCK)
            except zmq.Again:
                return None
            received_s = time.monotonic()
            self.received += 1
            try:
                return self._read(peer, received_s)
            except ProtocolError as error:
                self.refuse(peer, error, received_s)

    def answer(self, job: Job, result: TaskResult) -> None:
        """Send what became of a job."""
        output, zstd_bytes = result.output, result.zstd_bytes
        if zstd_bytes and not job.accept_zstd:  # another request for the same task did
            output, zstd_bytes = decompress(output, zstd_bytes), 0
        size = max(len(output), zstd_bytes)
        code, message = result.code, result.message
        if code is None and size > self._max_payload_bytes:
            code = ErrorCode.TOO_LARGE
            message = f"answer of {size} bytes; the limit is {self._max_payload_bytes}"
        times = self.times(job.received_s, result.compute_s)
        total_s = times.sent_s - job.received_s
        budget_s = job.deadline_s - job.received_s
        self.tally.answered(job.kind, code, result.compute_s, total_s, budget_s)
        log_task(job.request_id, job.kind, code or OK, total_s, result.compute_s, message)
        if code is None:
            self.send(job.peer, Done(job.request_id, times, zstd_bytes), output)
            return
        message = short_message(message)
        self.send(job.peer, Failed(job.request_id, code, message, times, result.retry_after_s))

    def refuse(self, peer: bytes, error: ProtocolError, received_s: float) -> None:
        """Answer a message that could not be taken."""
        code = ErrorCode(error.code)
        _log.info("request %d: %s: %s", error.request_id, code, error.message)
        self.tally.outcomes[code] += 1
        message = short_message(error.message)
        self.send(peer, Failed(error.request_id, code, message, self.times(received_s)))

    def send(self, peer: bytes, header: Reply, payload: Buffer = b"") -> None:
        """Hand a reply to ZeroMQ, or count it where the client has gone or does not read."""
        encoded = encode(header)
        size = len(payload)
        if not self._gate.has_room(peer, len(encoded) + size):
            self.undeliverable += 1
            return
        try:
            self._address(peer)
            self._router.send(encoded, _MORE)
            self._router.send(payload, _NOBLOCK, copy=size < ZERO_COPY_BYTES)
        except zmq.ZMQError as error:
            # EHOSTUNREACH: the client has gone. EAGAIN: it does not read. Neither may stop others.
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            self.undeliverable += 1

    def _address(self, peer: bytes) -> None:
        """Begin a message; raises what ``send`` does."""
        try:
            self._router.send(peer, _MORE)
        except zmq.Again:
            # libzmq looks only now and then whether the client has read something, so that a queue
            # may seem full which is not; to be asked makes it look.
            self._router.getsockopt(zmq.EVENTS)
            self._router.send(peer, _MORE)

    def times(self, received_s: float, compute_s: float = 0.0) -> Times:
        """The times of a reply that goes out now."""
        return Times(received_s, time.monotonic(), self._clock_name, compute_s)

    def _read(self, peer: bytes, received_s: float) -> Message:
        """Read the rest of one message.

        Raises:
            ProtocolError: it breaks a rule; every frame of it has been read.
        """
        header = self._router.recv(copy=False)
        frame, frames = header, 1
        while frame.more:
            frame = self._router.recv(copy=False)
            frames += 1
            if frames == FRAMES:
                payload = frame  # further ones are counted, not kept
        admitted = self._gate.admits(peer, header)
        request = decode_request(header.bytes)
        if not admitted:
            raise ProtocolError(ErrorCode.UNAUTHORISED, "this key was revoked", request.id)
        sizes = (len(header), len(payload)) if frames == FRAMES else (0,) * frames
        if not isinstance(request, Run):
            check_frames(sizes, self._max_payload_bytes, request.id)
            return Message(peer, request, b"", received_s)
        check_frames(sizes, self._max_payload_bytes, request.id, request.zstd_bytes)
        body = payload.buffer if sizes[1] >= ZERO_COPY_BYTES else payload.bytes
        return Message(peer, request, body, received_s)


_NOBLOCK = int(zmq.NOBLOCK)
_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)
