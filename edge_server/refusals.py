"""What is answered where a task's own result is not: the texts and codes of refusals."""

from __future__ import annotations

from edge_server.jobs import TaskResult
from edge_server.protocol import ErrorCode

_RETRY_S = 0.1
"""Said with BUSY before any task has ended."""
_SHORTEST_RETRY_S, _LONGEST_RETRY_S = 0.01, 10.0

EXPIRED = TaskResult(
    code=ErrorCode.EXPIRED, message="the client's budget ended before the task could start"
)
TOO_LATE = TaskResult(
    code=ErrorCode.EXPIRED,
    message="what is left of the client's budget is too short for this kind of task",
)
OVERRUN = TaskResult(code=ErrorCode.OVERRUN, message="the task ran past its budget")
DIED = TaskResult(code=ErrorCode.WORKER_DIED, message="the task's worker process died")
POISON = TaskResult(
    code=ErrorCode.QUARANTINED,
    message="this very task has ended its worker process before; it is not run any more",
)
CANCELLED = TaskResult(code=ErrorCode.CANCELLED, message="the client wanted it no longer")
SHUTTING_DOWN = TaskResult(code=ErrorCode.SHUTTING_DOWN, message="the server is shutting down")


def busy(message: str, queued: int, running: int, mean_s: float | None) -> TaskResult:
    """BUSY, with the time in which half of what waits should be done.

    Args:
        queued, running: tasks.
        mean_s: the mean task's compute time; None before any has ended.
    """
    retry_s = _RETRY_S
    if mean_s is not None and running:
        retry_s = (queued / 2 + 0.5) * mean_s / running
        retry_s = min(max(_SHORTEST_RETRY_S, retry_s), _LONGEST_RETRY_S)
    return TaskResult(code=ErrorCode.BUSY, message=message, retry_after_s=retry_s)
