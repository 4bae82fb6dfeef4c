"""The pool against servers that are killed, stopped, full or out of reach; real sockets."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator

import edge_server_tasks
import pytest
import zmq
from running_edge_server import a_task, free_port, wait_until
from server_process import ServerProcess
from slow_relay import SlowRelay
from stalls import Stalls

from edge_server.pool import EdgePool
from edge_server.pool_config import PoolConfig
from edge_server.protocol import (
    Done,
    Ping,
    Pong,
    Request,
    Run,
    Times,
    encode,
    new_task_id,
)
from offload.engine import DecisionEngine, TaskRecord
from offload.errors import (
    ConfigError,
    RemoteDisconnected,
    RemoteTimeout,
)
from offload.local_executor import LocalExecutor
from offload.local_queue import LocalQueue
from offload.types import (
    DecisionContext,
    DeviceState,
    EdgeState,
    LinkState,
    Outcome,
    RadioPower,
    TaskProfile,
)

pytestmark = pytest.mark.measured

TIMES = Times(0.0, 0.0, "elsewhere")


@pytest.fixture
def server_process() -> Iterator[Callable[..., ServerProcess]]:
    with contextlib.ExitStack() as stack:

        def start(**settings: object) -> ServerProcess:
            return stack.enter_context(contextlib.closing(ServerProcess(**settings)))

        yield start


def echo(pool: EdgePool, payload: bytes = b"x", budget_s: float = 5.0) -> bytes:
    return pool.execute(a_task("echo"), payload, budget_s).output


def served(pool: EdgePool) -> bool:
    try:
        return echo(pool, budget_s=0.5) == b"x"
    except RemoteTimeout:
        return False


def test_many_threads_share_it(start_server, pool):
    server = start_server(workers=2, queue=64)
    edge = pool(server.port, connections=3)
    answers: dict[int, bytes] = {}

    def client(first: int) -> None:
        for number in range(first, first + 5):
            answers[number] = echo(edge, b"%d" % number, 20.0)

    threads = [threading.Thread(target=client, args=(5 * number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: b"%d" % number for number in range(40)}
    assert (edge.requests, edge.retries, edge.late_replies) == (40, 0, 0)


def test_a_killed_server_is_noticed_and_its_successor_serves_within_two_seconds(
    server_process, pool
):
    first = server_process()
    edge = pool(first.port)
    assert echo(edge) == b"x"
    first.kill()
    assert wait_until(lambda: bool(edge.why_down), 2.0)
    start_s = time.monotonic()
    with pytest.raises(RemoteDisconnected, match="is down"):
        echo(edge)
    assert time.monotonic() - start_s < 0.1  # at once, not after its budget
    server_process(port=first.port)  # returns when it is ready
    ready_s = time.monotonic()
    assert wait_until(lambda: served(edge), 5.0)
    assert time.monotonic() - ready_s < 2.0
    assert edge.why_down == ""


def test_a_kill_in_mid_task_fails_the_task_at_once(server_process, pool):
    server = server_process()
    edge = pool(server.port)
    assert echo(edge) == b"x"
    threading.Timer(0.2, server.kill).start()
    start_s = time.monotonic()
    with pytest.raises(RemoteDisconnected):
        edge.execute(a_task("sleep"), b"20", 30.0)
    assert time.monotonic() - start_s < 1.5


def test_what_an_earlier_attempt_may_have_begun_stays_unknown(server_process, pool):
    """The first attempt broke in mid-task. The second found nobody, which by itself is harmless."""
    server = server_process()
    edge = pool(server.port, retry_share=1.0, heartbeat_s=30.0)
    assert echo(edge) == b"x"
    threading.Timer(0.2, server.kill).start()
    with pytest.raises(RemoteDisconnected) as raised:
        edge.execute(a_task("sleep"), b"20", 3.0)
    assert edge.retries >= 1
    assert raised.value.unanswered
    with pytest.raises(RemoteDisconnected) as raised:
        edge.execute(a_task("echo"), b"x", 0.2)
    assert not raised.value.unanswered


class AlwaysEdge:
    name = "always-edge"
    sees_truth = False

    def decide(self, context: DecisionContext) -> int:
        return 1


def context(local_s: float, deadline_s: float) -> DecisionContext:
    return DecisionContext(
        link=LinkState(0.001, 0.0, 0.0, 1e8, 1e8),
        task=TaskProfile(local_s, local_s, 10, 10, deadline_s),
        device=DeviceState(0.0, 1.0, RadioPower(*[0.0] * 8), 0.0, 1.0, 0.1),
        edge=EdgeState(0.0, 0.0),
        reference_s=local_s,
        reference_j=1.0,
    )


def test_a_stopped_server_costs_no_deadline_and_is_used_again_when_it_goes_on(server_process, pool):
    """The kernel of a stopped server goes on acknowledging; only heartbeats tell."""
    deadline_s = 1.5
    server = server_process()
    edge = pool(server.port, heartbeat_timeout_s=0.5)
    records: list[TaskRecord] = []
    with (
        contextlib.ExitStack() as stack,
        LocalExecutor(1.0, run_task=edge_server_tasks.run_task) as child,
        contextlib.closing(LocalQueue(child, lambda task: 0.1)) as local,
        contextlib.closing(
            DecisionEngine(AlwaysEdge(), local, edge, on_record=records.append, hedge=True)
        ) as engine,
    ):
        stalls = stack.enter_context(Stalls())
        child.warm_up(())
        given = context(0.1, deadline_s)
        assert engine.run(a_task("echo"), b"x", given).outcome is Outcome.REMOTE_OK
        server.signal(signal.SIGSTOP)
        stopped_s = time.monotonic()
        while time.monotonic() < stopped_s + 3.0:
            start_s = time.monotonic()
            result = engine.run(a_task("echo"), b"x", given)
            assert time.monotonic() - start_s < deadline_s + stalls.slack_s
            assert (result.outcome, result.output) == (Outcome.FALLBACK_OK, b"x")
        # The first waits as long as it may, 1.5 s - 0.1 s - 0.025 s; by then the server is known
        # to be down, and the others start at once.
        assert records[1].total_s > 1.0
        assert max(record.total_s for record in records[2:]) < 0.5 + stalls.slack_s
        server.signal(signal.SIGCONT)
        went_on_s = time.monotonic()
        assert wait_until(
            lambda: engine.run(a_task("echo"), b"x", given).outcome is Outcome.REMOTE_OK, 5.0
        )
        assert time.monotonic() - went_on_s < 2.0


@contextlib.contextmanager
def sending(edge: EdgePool, count: int, payload: bytes) -> Iterator[list[threading.Thread]]:
    """That many echoes of a payload under way, each in a thread; waits for their end."""
    threads = [threading.Thread(target=echo, args=(edge, payload, 60.0)) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for thread in threads:
            thread.join()


def test_a_small_request_does_not_wait_behind_a_large_one(start_server, pool):
    """2 MB take 2.5 s on this link; the small request shares it instead of queueing behind."""
    server = start_server(workers=2)
    with SlowRelay(server.port, bytes_per_s=800_000) as relay:
        edge = pool(relay.port, heartbeat_timeout_s=10.0)
        assert echo(edge) == b"x"
        with sending(edge, 1, bytes(2_000_000)) as (large,):
            assert wait_until(lambda: relay.forwarded_bytes > 50_000)
            waits = []
            for _ in range(3):
                start_s = time.monotonic()
                assert echo(edge, bytes(100)) == bytes(100)
                waits.append(time.monotonic() - start_s)
            assert large.is_alive()
        assert sorted(waits)[1] < 0.6
        # The same two messages on one connection: the small one comes after the large one.
        with zmq.Context() as zmq_context, zmq_context.socket(zmq.DEALER) as one:
            one.setsockopt(zmq.LINGER, 0)
            one.connect(f"tcp://127.0.0.1:{relay.port}")
            start_s = time.monotonic()
            for number, payload in ((1, bytes(2_000_000)), (2, bytes(100))):
                one.send_multipart([encode(Run(number, "echo", 60_000, new_task_id())), payload])
            sizes = [len(one.recv_multipart()[1])]
            assert time.monotonic() - start_s > 2.0
            sizes.append(len(one.recv_multipart()[1]))
            assert sorted(sizes) == [100, 2_000_000]


def test_large_requests_leave_connections_for_small_ones(start_server, pool):
    server = start_server(workers=4)
    with SlowRelay(server.port, bytes_per_s=400_000) as relay:
        edge = pool(relay.port, connections=2, heartbeat_timeout_s=10.0)
        assert echo(edge) == b"x"
        with sending(edge, 3, bytes(300_000)) as large:
            assert wait_until(lambda: relay.forwarded_bytes > 50_000)
            assert echo(edge, b"small") == b"small"
            # One of them at a time, 0.75 s each.
            assert sum(thread.is_alive() for thread in large) >= 2


def test_an_upload_that_moves_is_a_sign_of_life(fake_server, pool):
    """The server answers no more pings while a large input comes in, and none after it."""
    mute = threading.Event()

    def answer(request: Request, payload: bytes) -> list[list[bytes]]:
        if isinstance(request, Ping):
            return [] if mute.is_set() else [[encode(Pong(request.id, TIMES, 10**7)), b""]]
        return [[encode(Done(request.id, TIMES)), b"x"]]

    with SlowRelay(fake_server(answer), bytes_per_s=400_000) as relay:
        edge = pool(relay.port, heartbeat_s=0.05, heartbeat_timeout_s=0.4)
        assert echo(edge) == b"x"
        with sending(edge, 1, bytes(1_000_000)):
            assert wait_until(lambda: relay.forwarded_bytes > 50_000)
            mute.set()
            downs = 0
            while relay.forwarded_bytes < 800_000:
                downs += bool(edge.why_down)
                time.sleep(0.02)
            assert downs == 0
        assert wait_until(lambda: bool(edge.why_down), 5.0)
        mute.clear()
        assert wait_until(lambda: served(edge), 5.0)


def test_nobody_there_is_known_at_once_and_the_first_server_is_found(server_process, pool):
    port = free_port()
    edge = pool(port)
    with pytest.raises(RemoteTimeout):
        echo(edge)
    assert wait_until(lambda: "no edge server answers" in edge.why_down, 2.0)
    server_process(port=port)
    assert wait_until(lambda: served(edge), 2.0)


def test_a_task_that_finds_every_connection_in_use_ends_with_its_budget(start_server, pool):
    server = start_server(workers=2)
    edge = pool(server.port, connections=2)
    tasks = [
        threading.Thread(target=edge.execute, args=(a_task("sleep"), b"0.8", 5.0)) for _ in range(2)
    ]
    for task in tasks:
        task.start()
    assert wait_until(lambda: edge.requests == 2)
    time.sleep(0.1)
    start_s = time.monotonic()
    with pytest.raises(RemoteTimeout, match="every connection"):
        echo(edge, budget_s=0.2)
    assert 0.2 <= time.monotonic() - start_s < 0.4
    for task in tasks:
        task.join()
    assert echo(edge) == b"x"


def test_settings_out_of_bounds_are_clear_errors():
    with pytest.raises(ConfigError, match="connections is 1; it must lie from 2 to 64"):
        PoolConfig(connections=1)
    with pytest.raises(ConfigError, match=r"retry_share is 1\.5"):
        PoolConfig(retry_share=1.5)
    with pytest.raises(ConfigError, match="port is 0"):
        EdgePool(port=0)
