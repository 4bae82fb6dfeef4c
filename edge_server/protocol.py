"""The wire format between a device and the edge server: pure functions, no sockets.

A message is two frames: a header, and the raw payload (empty where there is none). The header is
``MAGIC``, one byte of schema version, and a msgpack map that holds one of the structs of
:mod:`edge_server.messages`, told apart by its field ``t``. docs/protocol.md lists every field,
limit and error code.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from edge_server.messages import (
    MAX_BUDGET_MS,
    MAX_MESSAGE_CHARS,
    Cancel,
    Done,
    ErrorCode,
    Failed,
    Ping,
    Pong,
    Reply,
    Request,
    RequestId,
    Run,
    Stats,
    StatsQuery,
    Times,
)
from offload.errors import RemoteFailure

__all__ = [
    "FRAMES",
    "MAGIC",
    "MAX_BUDGET_MS",
    "MAX_HEADER_BYTES",
    "MAX_MESSAGE_CHARS",
    "MAX_OPEN_REQUESTS",
    "SCHEMA_VERSION",
    "Cancel",
    "Done",
    "ErrorCode",
    "Failed",
    "Ping",
    "Pong",
    "ProtocolError",
    "Reply",
    "Request",
    "Run",
    "Stats",
    "StatsQuery",
    "Times",
    "check_frames",
    "clock_name",
    "decode_reply",
    "decode_request",
    "encode",
    "new_task_id",
    "short_message",
]

MAGIC = b"OFLD"
SCHEMA_VERSION = 2
FRAMES = 2
"""Frames of a message, the ROUTER's routing id left out."""
MAX_HEADER_BYTES = 4096
MAX_OPEN_REQUESTS = 16
"""Tasks one connection may have unanswered; one more is BUSY."""
_PREFIX = MAGIC + bytes([SCHEMA_VERSION])


class ProtocolError(RemoteFailure):
    """A message that breaks a rule of the protocol.

    Attributes:
        request_id: the id it carried, 0 where none could be read.
    """

    def __init__(self, code: ErrorCode, message: str, request_id: int = 0) -> None:
        super().__init__(code, message)
        self.message = message
        self.request_id = request_id


_encoder = msgspec.msgpack.Encoder()
_request_decoder = msgspec.msgpack.Decoder(Request)
_reply_decoder = msgspec.msgpack.Decoder(Reply)


class _IdOnly(msgspec.Struct):
    id: RequestId


_id_decoder = msgspec.msgpack.Decoder(_IdOnly)
# What msgspec may raise on hostile bytes: its own errors, deep nesting, text that is not UTF-8.
_DECODE_ERRORS = (msgspec.MsgspecError, RecursionError, ValueError, OverflowError)


def encode(header: Request | Reply) -> bytes:
    """The header frame of a message."""
    return _PREFIX + _encoder.encode(header)


def decode_request(header: bytes) -> Request:
    """Read a request's header frame.

    Raises:
        ProtocolError: ``version``, ``too_large`` or ``bad_request``; nothing else, whatever the
            bytes are.
    """
    body = _body(header)
    try:
        return _request_decoder.decode(body)
    except _DECODE_ERRORS as error:
        raise ProtocolError(ErrorCode.BAD_REQUEST, _short(error), _peek_id(body)) from error


def decode_reply(header: bytes) -> Reply:
    """Read a reply's header frame.

    Raises:
        ProtocolError: ``version``, ``too_large`` or ``bad_reply``; nothing else.
    """
    body = _body(header)
    try:
        return _reply_decoder.decode(body)
    except _DECODE_ERRORS as error:
        raise ProtocolError(ErrorCode.BAD_REPLY, _short(error), _peek_id(body)) from error


def check_frames(
    frame_bytes: Sequence[int], max_payload_bytes: int, request_id: int = 0, zstd_bytes: int = 0
) -> None:
    """Bound a whole message by the sizes of its frames, the routing id left out.

    ZeroMQ's own limit (ZMQ_MAXMSGSIZE) is per frame, so many small frames pass it. A compressed
    payload is bounded twice: as it came, and by what its header says it decompresses to. That the
    header tells the truth is seen before a byte is decompressed (:mod:`edge_server.compression`).

    Raises:
        ProtocolError: ``bad_request`` for a wrong number of frames, ``too_large`` for a size.
    """
    if len(frame_bytes) != FRAMES:
        raise ProtocolError(
            ErrorCode.BAD_REQUEST,
            f"a message has {FRAMES} frames (header, payload), not {len(frame_bytes)}",
            request_id,
        )
    if frame_bytes[1] > max_payload_bytes:
        raise ProtocolError(
            ErrorCode.TOO_LARGE,
            f"payload of {frame_bytes[1]} bytes; the limit is {max_payload_bytes}",
            request_id,
        )
    if zstd_bytes > max_payload_bytes:
        raise ProtocolError(
            ErrorCode.TOO_LARGE,
            f"payload of {zstd_bytes} bytes once decompressed; the limit is {max_payload_bytes}",
            request_id,
        )


def new_task_id() -> bytes:
    """A name for a task that no other task has, and that nobody can guess."""
    return os.urandom(16)


def clock_name() -> str:
    """A name for this process's monotonic clock, shared by all who read the same clock.

    Built from the kernel's boot id and the time namespace, hashed so that neither leaves the
    machine. Where they cannot be read the name is unique, so that no two clocks pass for one.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        namespace = Path("/proc/self/ns/time").readlink()
    except OSError:
        return os.urandom(8).hex()
    return hashlib.sha256(f"{boot}{namespace}".encode()).hexdigest()[:16]


def short_message(text: str) -> str:
    """Cut a message to what a :class:`Failed` may carry."""
    return text if len(text) <= MAX_MESSAGE_CHARS else text[: MAX_MESSAGE_CHARS - 1] + "…"


def _body(header: bytes) -> bytes:
    """The msgpack part of a header frame."""
    if len(header) > MAX_HEADER_BYTES:
        raise ProtocolError(
            ErrorCode.TOO_LARGE, f"header of {len(header)} bytes; the limit is {MAX_HEADER_BYTES}"
        )
    if not header.startswith(MAGIC) or len(header) <= len(MAGIC):
        raise ProtocolError(ErrorCode.BAD_REQUEST, f"the header does not start with {MAGIC!r}")
    if header[len(MAGIC)] != SCHEMA_VERSION:
        raise ProtocolError(
            ErrorCode.VERSION,
            f"schema version {header[len(MAGIC)]}; this side speaks {SCHEMA_VERSION}",
            _peek_id(header[len(_PREFIX) :]),
        )
    return header[len(_PREFIX) :]


def _peek_id(body: bytes) -> int:
    """The id in a body that is otherwise unreadable, so that the refusal finds its request."""
    try:
        return _id_decoder.decode(body).id
    except _DECODE_ERRORS:
        return 0


def _short(error: BaseException) -> str:
    return short_message(str(error) or type(error).__name__)
