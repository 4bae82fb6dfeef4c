"""The messages between a device and the edge server: every field, with its type and bounds.

:mod:`edge_server.protocol` reads and writes them; docs/protocol.md says what they mean. Nothing in
them is ever code, a pickle or a path. Keys are the transport's business (CURVE with ZAP wraps these
same frames), so no message has a field for them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeAlias

import msgspec

MAX_BUDGET_MS = 3_600_000
MAX_MESSAGE_CHARS = 300


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
    CANCELLED = "cancelled"
    SHUTTING_DOWN = "shutting_down"
    UNAUTHORISED = "unauthorised"
    BAD_REPLY = "bad_reply"
    """Never sent: a client's own name for a reply that it could not read."""


RequestId: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
Kind: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}\Z")]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
ShortText: TypeAlias = Annotated[str, msgspec.Meta(max_length=MAX_MESSAGE_CHARS)]
TaskId: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
Attempt: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=100)]
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
    attempt: Attempt = 1
    zstd_bytes: Size = 0
    accept_zstd: bool = False


class Cancel(_Header, frozen=True, tag="cancel"):
    """Give up a :class:`Run` of the same connection, and with it earlier attempts at its task.

    It has no reply of its own: each request that is given up is answered, unless it was already.

    Attributes:
        id, task, attempt: that run's.
    """

    id: RequestId
    task: TaskId
    attempt: Attempt = 1


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


Request: TypeAlias = Run | Cancel | Ping | StatsQuery
Reply: TypeAlias = Done | Failed | Pong | Stats
