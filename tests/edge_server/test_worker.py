"""What a worker makes of a task's end, without a process."""

from __future__ import annotations

import pytest

from edge_server.executors.frames import Tag
from edge_server.worker import MAX_MESSAGE_CHARS, run_job


def fail_at_length(kind: str, payload: bytes) -> bytes:
    raise ValueError("x" * 1_000_000)


@pytest.mark.parametrize("accept_zstd", [False, True])
def test_an_output_over_the_limit_never_leaves_the_worker(accept_zstd):
    def grow(kind: str, payload: bytes) -> bytes:
        return bytes(int(payload))

    assert len(run_job(grow, "grow", b"1000", 0, False, 1000).body) == 1000
    result = run_job(grow, "grow", b"1001", 0, accept_zstd, 1000)
    assert (result.tag, result.zstd_bytes) == (Tag.TOO_LARGE, 0)
    assert result.body == b"answer of 1001 bytes; the limit is 1000"


def test_an_error_of_any_length_is_a_short_message(capsys):
    result = run_job(fail_at_length, "any", b"", 0, False, 1000)
    assert result.tag is Tag.FAILED
    assert result.body.startswith(b"ValueError: xxx")
    assert len(result.body) == MAX_MESSAGE_CHARS
