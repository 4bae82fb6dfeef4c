"""What the client raises for a server that refused, and the bounds of what may be asked."""

from __future__ import annotations

import math

from edge_server.protocol import MAX_BUDGET_MS, ErrorCode, Failed
from offload.errors import (
    ConfigError,
    RemoteBusy,
    RemoteCancelled,
    RemoteError,
    RemoteFailure,
    RemoteTimeout,
)


def error_of(reply: Failed) -> RemoteError:
    """The exception a refusal becomes."""
    message = f"{reply.code}: {reply.message}"
    if reply.code is ErrorCode.BUSY:
        return RemoteBusy(message, reply.retry_after_s)
    if reply.code in (ErrorCode.EXPIRED, ErrorCode.OVERRUN):
        return RemoteTimeout(message, unanswered=False)
    if reply.code is ErrorCode.CANCELLED:
        return RemoteCancelled(message)
    return RemoteFailure(reply.code, reply.message)


def checked_budget(budget_s: float) -> float:
    """The budget, bounded by what the protocol can say.

    Raises:
        ConfigError: it is no number.
    """
    if math.isnan(budget_s):
        raise ConfigError("the budget is not a number; give seconds")
    return min(max(0.0, budget_s), MAX_BUDGET_MS / 1e3)
