"""When the pool tries again, and how a caller ends that; real sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from running_edge_server import a_task, wait_until

from edge_server.protocol import (
    Cancel,
    Done,
    ErrorCode,
    Failed,
    Ping,
    Pong,
    Request,
    Run,
    Times,
    encode,
)
from offload.cancellation import Cancellation
from offload.errors import (
    RemoteBusy,
    RemoteCancelled,
    RemoteError,
    RemoteFailure,
)

pytestmark = pytest.mark.measured

TIMES = Times(0.0, 0.0, "elsewhere")


def test_a_busy_server_is_asked_again_when_it_says(fake_server, pool):
    """Ten plain requests first: they pay for the one retry."""
    seen: list[Run] = []

    def busy_once(request: Request, payload: bytes) -> list[list[bytes]]:
        if isinstance(request, Ping):
            return [[encode(Pong(request.id, TIMES, 1000)), b""]]
        assert isinstance(request, Run)
        seen.append(request)
        if len(seen) == 11:
            busy = Failed(request.id, ErrorCode.BUSY, "full", TIMES, retry_after_s=0.3)
            return [[encode(busy), b""]]
        return [[encode(Done(request.id, TIMES)), payload]]

    edge = pool(fake_server(busy_once))
    for _ in range(10):
        edge.execute(a_task("echo"), b"x", 5.0)
    start_s = time.monotonic()
    result = edge.execute(a_task("echo"), b"again", 5.0)
    seconds = time.monotonic() - start_s
    assert result.output == b"again"
    assert 0.3 <= seconds < 0.3 * 1.5 + 0.3  # what it said, and up to half of that at random
    assert 0.3 <= result.cost.queue_s <= seconds
    first, second = seen[10:]
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.task == second.task
    assert len({run.task for run in seen}) == 11
    assert first.budget_ms - second.budget_ms >= 300
    assert (edge.requests, edge.retries) == (11, 1)


def test_retries_stay_within_a_tenth_of_the_traffic(fake_server, pool):
    def always_busy(request: Request, payload: bytes) -> list[list[bytes]]:
        if isinstance(request, Ping):
            return [[encode(Pong(request.id, TIMES, 1000)), b""]]
        return [[encode(Failed(request.id, ErrorCode.BUSY, "full", TIMES, 0.001)), b""]]

    edge = pool(fake_server(always_busy))
    for number in range(1, 61):
        with pytest.raises(RemoteBusy):
            edge.execute(a_task("echo"), b"x", 5.0)
        assert edge.retries <= number / 10
    assert edge.retries == 6


def test_no_retry_that_would_end_after_the_budget(fake_server, pool):
    def busy_for_long(request: Request, payload: bytes) -> list[list[bytes]]:
        if isinstance(request, Ping):
            return [[encode(Pong(request.id, TIMES, 1000)), b""]]
        return [[encode(Failed(request.id, ErrorCode.BUSY, "full", TIMES, 60.0)), b""]]

    edge = pool(fake_server(busy_for_long), retry_share=1.0)
    start_s = time.monotonic()
    with pytest.raises(RemoteBusy) as info:
        edge.execute(a_task("echo"), b"x", 1.0)
    assert time.monotonic() - start_s < 0.5
    assert info.value.retry_after_s == 60.0
    assert edge.retries == 0


def cancelled_in_time(call: Callable[[Cancellation], object], started: threading.Event) -> bool:
    """A call of a minute, cancelled once it has started, ends as cancelled well before that."""
    cancellation, outcome = Cancellation(), list[bool]()

    def run() -> None:
        try:
            call(cancellation)
        except RemoteError as error:
            outcome.append(isinstance(error, RemoteCancelled))

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(30.0)
    cancellation.cancel()
    thread.join(30.0)
    return outcome == [True]


def test_a_call_is_cancelled_while_it_waits_to_try_again(fake_server, pool):
    refused = threading.Event()

    def busy(request: Request, payload: bytes) -> list[list[bytes]]:
        if isinstance(request, Ping):
            return [[encode(Pong(request.id, TIMES, 10**7)), b""]]
        refused.set()
        return [[encode(Failed(request.id, ErrorCode.BUSY, "full", TIMES, 50.0)), b""]]

    edge = pool(fake_server(busy), retry_share=1.0)
    assert cancelled_in_time(lambda c: edge.execute_until(a_task("echo"), b"", 60.0, c), refused)


def test_a_call_is_cancelled_while_it_waits_for_a_connection(fake_server, pool):
    """Two connections, both with a request that is never answered."""
    asked = threading.Semaphore(0)

    def mute(request: Request, payload: bytes) -> list[list[bytes]]:
        if isinstance(request, Ping):
            return [[encode(Pong(request.id, TIMES, 10**7)), b""]]
        asked.release()
        return []

    cancels: list[Cancel] = []
    edge = pool(fake_server(mute, cancels), connections=2, heartbeat_timeout_s=30.0)
    task, given_up = a_task("echo"), Cancellation()

    def hang() -> None:
        with pytest.raises(RemoteCancelled):
            edge.execute_until(task, b"", 60.0, given_up)

    threads = [threading.Thread(target=hang) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert all(asked.acquire(timeout=30.0) for _ in threads)
    at_once = threading.Event()
    at_once.set()
    assert cancelled_in_time(lambda c: edge.execute_until(task, b"", 60.0, c), at_once)
    assert cancels == []
    given_up.cancel()
    for thread in threads:
        thread.join(30.0)
    assert wait_until(lambda: len(cancels) == 2)


def test_what_killed_a_worker_is_not_tried_again(start_server, pool):
    edge = pool(start_server().port, retry_share=1.0)
    with pytest.raises(RemoteFailure) as info:
        edge.execute(a_task("crash"), b"", 20.0)
    assert info.value.code == "worker_died"
    assert edge.retries == 0
