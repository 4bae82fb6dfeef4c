"""Which refusals tell what became of a task, so that it may run in the caller's own process."""

from __future__ import annotations

import pytest

from edge_server.client_errors import error_of
from edge_server.protocol import ErrorCode, Failed, Times
from offload.errors import RemoteBusy, RemoteCancelled, RemoteFailure, RemoteTimeout

TIMES = Times(0.0, 0.0, "elsewhere")


@pytest.mark.parametrize(
    ("code", "kind", "unanswered"),
    [
        (ErrorCode.BUSY, RemoteBusy, False),
        (ErrorCode.EXPIRED, RemoteTimeout, False),
        (ErrorCode.OVERRUN, RemoteTimeout, False),
        (ErrorCode.CANCELLED, RemoteCancelled, False),
        (ErrorCode.TASK_FAILED, RemoteFailure, False),
        (ErrorCode.WORKER_DIED, RemoteFailure, False),
        (ErrorCode.BAD_REPLY, RemoteFailure, True),
    ],
)
def test_a_servers_word_is_an_answer_unless_nobody_can_read_it(code, kind, unanswered):
    error = error_of(Failed(1, code, "why", TIMES, retry_after_s=0.5))
    assert type(error) is kind
    assert error.unanswered is unanswered
    assert "why" in str(error)


def test_silence_is_no_answer():
    assert RemoteTimeout("nothing came").unanswered
