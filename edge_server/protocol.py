"""The wire format between a device and the edge server: pure functions, no sockets.

A message is two frames: a header, and the raw payload (empty where there is none). The header is
``MAGIC``, one byte of schema version, and a msgpack map that holds one of the structs below, told
apart by its field ``t``. Nothing on the wire is ever code, a pickle or a path. docs/protocol.md
lists every field, limit and error code.

Keys are the transport's business (CURVE with ZAP wraps these same frames), so the header has no
field for them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec

from offload.errors import RemoteFailure

MAGIC = b"OFLD"
SCHEMA_VERSION = 2
FRAMES = 2
"""Frames of a message, the ROUTER's routing id left out."""
MAX_HEADER_BYTES = 4096
MAX_BUDGET_MS = 3_600_000
MAX_MESSAGE_CHARS = 300
MAX_OPEN_REQUESTS = 16
"""Tasks one connection may have unanswered; one more is BUSY."""
_PREFIX = MAGIC + bytes([SCHEMA_VERSION])


class ErrorCode(StrEnum):
    """Why a request has no result; docs/protocol.md says which of them had no effect."""

    VERSION = "version"
    BAD_REQUEST = "bad_request"
    TOO_LARGE = "too_large"
    UNKNOWN_KIND = "unknown_kind"
    BUSY = "busy"
    EXPIRED = "expired"
    OVERRUN = "overrun"
    TASK_FAILED = "task_failed"
    WORKER_DIED = "worker_died"
    QUARANTINED = "quarantined"
    OUT_OF_MEMORY = "out_of_memory"
    SHUTTING_DOWN = "shutting_down"
    UNAUTHORISED = "unauthorised"
    BAD_REPLY = "bad_reply"
    """Never sent: a client's own name for a reply that it could not read."""


class ProtocolError(RemoteFailure):
    """A message that breaks a rule of the protocol.

    Attributes:
        request_id: the id it carried, 0 where none could be read.
    """

    def __init__(self, code: ErrorCode, message: str, request_id: int = 0) -> None:
        super().__init__(code, message)
        self.message = message
        self.request_id = request_id


RequestId: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
Kind: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}\Z")]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
ShortText: TypeAlias = Annotated[str, msgspec.Meta(max_length=MAX_MESSAGE_CHARS)]
TaskId: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
Size: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**40)]


class _Header(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="t"
):
    """What every header shares: it is immutable, and a field it does not know is an error."""


class Run(_Header, frozen=True, tag="run"):
    """Run a task on the payload frame.

    Attributes:
        id: chosen by the client, unique among its open requests.
        kind: name of the task; which names are allowed is the task registry's business.
        budget_ms: time the client will still wait, counted from sending.
        task: names the task itself, 16 random bytes (:func:`new_task_id`). The same in each attempt
            at it, over whatever connection, so that a duplicate is known as one.
        attempt: 1 for the first try of this task.
        zstd_bytes: bytes of the payload once decompressed by zstd; 0: it is not compressed.
        accept_zstd: the answer may be compressed by zstd.
    """

    id: RequestId
    kind: Kind
    budget_ms: Annotated[int, msgspec.Meta(ge=0, le=MAX_BUDGET_MS)]
    task: TaskId
    attempt: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    zstd_bytes: Size = 0
    accept_zstd: bool = False


class Ping(_Header, frozen=True, tag="ping"):
    """Ask for a :class:`Pong`."""

    id: RequestId


class StatsQuery(_Header, frozen=True, tag="stats"):
    """Ask for :class:`Stats`."""

    id: RequestId


class Times(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the server received the request and sent its reply, on the server's monotonic clock.

    Attributes:
        received_s: the whole request was there.
        sent_s: the reply went out.
        compute_s: seconds of the task itself; what else lies between the two is queueing.
        clock: names the clock; equal names on two machines mean one and the same clock.
    """

    received_s: float
    sent_s: float
    clock: ShortText
    compute_s: Seconds = 0.0

    @property
    def queue_s(self) -> float:
        """Seconds in the server outside of the task, never negative."""
        return max(0.0, self.sent_s - self.received_s - self.compute_s)


class Done(_Header, frozen=True, tag="done"):
    """The task ran; its answer is the payload frame.

    Attributes:
        zstd_bytes: as in :class:`Run`; 0 where that did not accept zstd.
    """

    id: RequestId
    times: Times
    zstd_bytes: Size = 0


class Failed(_Header, frozen=True, tag="failed"):
    """There is no result. ``id`` is 0 where the request's could not be read.

    Attributes:
        retry_after_s: with ``busy``, when the server expects to have room; 0: it does not say.
    """

    id: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    code: ErrorCode
    message: ShortText
    times: Times
    retry_after_s: Seconds = 0.0


class Pong(_Header, frozen=True, tag="pong"):
    """Answer to a ping: clock, the largest payload the server takes, and how busy it is.

    Attributes:
        expected_queue_s: how long a task that came now would wait for a worker.
        zstd: payloads compressed by zstd are taken.
    """

    id: RequestId
    times: Times
    max_payload_bytes: Size
    expected_queue_s: Seconds = 0.0
    zstd: bool = False


class Stats(_Header, frozen=True, tag="stats_reply"):
    """Answer to a stats query.

    Attributes:
        uptime_s: since the server was ready.
        workers: worker processes that are ready or busy.
        busy: those running a task now.
        queued: tasks waiting.
        received: messages received, of all sorts.
        answered: replies by status: ``ok`` or an error code.
        workers_replaced: workers that died, or were killed for an overrun.
        undeliverable: replies whose client had gone or did not read.
    """

    id: RequestId
    times: Times
    uptime_s: float
    workers: int
    busy: int
    queued: int
    received: int
    answered: dict[str, int]
    workers_replaced: int
    undeliverable: int


Request: TypeAlias = Run | Ping | StatsQuery
Reply: TypeAlias = Done | Failed | Pong | Stats

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
