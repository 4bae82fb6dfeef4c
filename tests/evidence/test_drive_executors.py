"""The two sides of a device that has several tasks under way."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from evidence.driving.executors import EdgePool, QuietProbes
from offload.errors import RemoteTimeout
from offload.local_queue import LocalQueue
from offload.types import EdgeState, ExecutionResult, Outcome, PlacementCost, TaskInstance

TASKS = [TaskInstance("face", "small", seed) for seed in range(4)]


class Gated:
    """Runs a task until it is let go; notes how many it runs at once."""

    def __init__(self, age_s: float = 0.0) -> None:
        self.started = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)
        self.order: list[int] = []
        self.at_once = 0
        self.most = 0
        self._age_s = age_s

    def execute(self, task: TaskInstance, payload: bytes, budget_s: float) -> ExecutionResult:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.order.append(task.seed)
        self.started.release()
        assert self.gate.acquire(timeout=10)
        self.at_once -= 1
        return ExecutionResult(Outcome.LOCAL_OK, b"", PlacementCost(0, 0, 0.1, 0, 0, 0))

    def edge_state(self) -> EdgeState:
        return EdgeState(self._age_s / 10, self._age_s)


@pytest.fixture
def threads():
    with ThreadPoolExecutor(8) as pool:
        yield pool


def test_one_cpu_takes_tasks_in_turn_and_tells_its_backlog(threads):
    cpu = Gated()
    with contextlib.closing(LocalQueue(cpu, lambda task: 5.0)) as local:
        assert local.backlog_s() == 0.0
        results = []
        for count, task in enumerate(TASKS[:3]):
            results.append(threads.submit(local.execute, task, b"", 60.0))
            if count == 0:
                assert cpu.started.acquire(timeout=10)
            wait_for(lambda count=count: local.backlog_s() > 5.0 * count)
        # Two wait, 5 s each; of the first some of its 5 s are left.
        assert 10.0 < local.backlog_s() <= 15.0
        time.sleep(0.05)
        for _ in TASKS[:3]:
            cpu.gate.release()
        done = [result.result(timeout=10) for result in results]
        assert local.backlog_s() == 0.0
    assert cpu.order == [0, 1, 2]
    assert cpu.most == 1
    waited_s = [result.cost.queue_s for result in done]
    assert waited_s[0] < min(waited_s[1:])
    assert min(waited_s[1:]) >= 0.05


def test_a_task_waits_for_a_connection_and_the_wait_counts(threads):
    connections = [Gated(age_s=3.0), Gated(age_s=2.0)]
    pool = EdgePool(connections, contextlib.nullcontext())
    assert pool.edge_state() == EdgeState(0.2, 2.0)
    assert pool.awake_s(4.0) == 0.0
    running = [threads.submit(pool.execute, task, b"", 60.0) for task in TASKS[:2]]
    for connection in connections:
        assert connection.started.acquire(timeout=10)
    assert pool.awake_s(4.0) == 4.0
    with pytest.raises(RemoteTimeout, match="every connection was in use"):
        pool.execute(TASKS[2], b"", 0.01)
    third = threads.submit(pool.execute, TASKS[3], b"", 60.0)
    time.sleep(0.05)
    for connection in connections:
        connection.gate.release()
        connection.gate.release()
    assert [result.result(timeout=10).cost.queue_s < 0.05 for result in running] == [True, True]
    assert third.result(timeout=10).cost.queue_s > 0.04
    assert [connection.most for connection in connections] == [1, 1]
    assert 3.5 < pool.awake_s(4.0) <= 4.0


def test_probes_are_held_while_any_transfer_is_under_way_and_no_transfer_waits():
    class Prober:
        def __init__(self) -> None:
            self.lock = threading.Lock()
            self.held = 0

        @contextlib.contextmanager
        def hold(self):
            with self.lock:
                self.held += 1
                yield
                self.held -= 1

    prober = Prober()
    with contextlib.closing(QuietProbes(prober)) as quiet:
        with prober.lock, quiet:  # a probe is under way: the transfer begins all the same
            assert prober.held == 0
        with quiet:
            wait_for(lambda: prober.held == 1)
            with quiet:
                pass
            assert prober.held == 1  # the first transfer goes on
        wait_for(lambda: prober.held == 0)


def wait_for(condition) -> None:
    until_s = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.002)
