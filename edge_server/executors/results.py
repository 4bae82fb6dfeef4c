"""What a worker says of a job, as the server understands it."""

from __future__ import annotations

from edge_server.executors.frames import Tag
from edge_server.jobs import Buffer, TaskResult
from edge_server.protocol import ErrorCode

_CODES = {
    Tag.UNKNOWN_KIND: ErrorCode.UNKNOWN_KIND,
    Tag.BAD_INPUT: ErrorCode.BAD_REQUEST,
    Tag.FAILED: ErrorCode.TASK_FAILED,
    Tag.EXPIRED: ErrorCode.EXPIRED,
    Tag.OUT_OF_MEMORY: ErrorCode.OUT_OF_MEMORY,
    Tag.TOO_LARGE: ErrorCode.TOO_LARGE,
}
EXPIRED = TaskResult(
    code=ErrorCode.EXPIRED, message="the client's budget ended before the task could start"
)


def task_result(tag: int, seconds: float, body: Buffer, zstd_bytes: int) -> TaskResult:
    """The result of a job whose worker wrote this."""
    if tag == Tag.OK:
        return TaskResult(body, seconds, zstd_bytes=zstd_bytes)
    if tag == Tag.EXPIRED:
        return EXPIRED
    return TaskResult(b"", seconds, _CODES[Tag(tag)], bytes(body).decode(errors="replace"))
