"""What the server's parts hand to one another: a job, and what became of it.

These are made for every message, so they are msgspec structs: immutable and slotted like the frozen
dataclasses elsewhere, but made in a tenth of the time.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from edge_server.protocol import ErrorCode

Buffer: TypeAlias = bytes | bytearray | memoryview


class Job(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One request to run a task.

    Attributes:
        peer: the ROUTER's routing id of the connection to answer.
        request_id: the client's id of the request.
        payload: as it came; compressed where ``zstd_bytes`` is not 0.
        received_s: when it was there, on the server's monotonic clock.
        deadline_s: when the client stops waiting, on the same clock.
        client: whose share of the server it takes: the user's with keys, else the connection's.
        task: names the task and its user, the same in every attempt at it; empty: it has no name,
            and its duplicates are not known.
        zstd_bytes: the payload's bytes once decompressed by zstd; 0: it is not compressed.
        accept_zstd: the output may be compressed by zstd.
        attempt: which one at its task it is, from 1.
    """

    peer: bytes
    request_id: int
    kind: str
    payload: Buffer
    received_s: float
    deadline_s: float
    client: bytes = b""
    task: bytes = b""
    zstd_bytes: int = 0
    accept_zstd: bool = False
    attempt: int = 1

    @property
    def payload_bytes(self) -> int:
        """Of the payload once decompressed."""
        return self.zstd_bytes or len(self.payload)


class GivenUp(msgspec.Struct, frozen=True, gc=False):
    """A client wants a request no longer, nor the attempts at the same task before it.

    Attributes:
        task: as in :class:`Job`.
        peer: the connection the request came on.
        request_id: the request's.
        attempt: the request's.
    """

    task: bytes
    peer: bytes
    request_id: int
    attempt: int


class TaskResult(msgspec.Struct, frozen=True, eq=False, gc=False):
    """What became of a job: an output, or a code with its message.

    Attributes:
        compute_s: seconds of the task itself.
        zstd_bytes: the output's bytes once decompressed by zstd; 0: it is not compressed.
        retry_after_s: with ``busy``, when there should be room again.
    """

    output: Buffer = b""
    compute_s: float = 0.0
    code: ErrorCode | None = None
    message: str = ""
    zstd_bytes: int = 0
    retry_after_s: float = 0.0


class Start(msgspec.Struct, frozen=True, gc=False):
    """An instruction: give the job to the worker."""

    worker: int
    job: Job


class Answer(msgspec.Struct, frozen=True, gc=False):
    """An instruction: send the result to the job's client."""

    job: Job
    result: TaskResult


class Kill(msgspec.Struct, frozen=True, gc=False):
    """An instruction: kill the worker; its end comes back as an event."""

    worker: int


Instruction: TypeAlias = Start | Answer | Kill
