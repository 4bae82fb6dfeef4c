"""The local executor: measured slowness, budgets, a child that may die."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from offload.errors import ConfigError, TaskError
from offload.interfaces import Executor
from offload.local_executor import LocalExecutor
from offload.tasks import get_task
from offload.types import Outcome, TaskInstance

SMALL = TaskInstance("lzma", "small", 3)


@pytest.fixture(scope="module")
def device() -> Iterator[LocalExecutor]:
    with LocalExecutor(slowdown=4.0) as executor:
        yield executor


def payload_of(task: TaskInstance) -> bytes:
    return get_task(task.kind).make_input(task.size, task.seed)


def kill_and_wait(pid: int | None) -> None:
    """Returns when the process is dead; leaves it to its parent to collect."""
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize("kind", ["lzma", "sudoku", "blur", "matmul"])
def test_the_answer_is_the_same_on_both_sides(device: LocalExecutor, kind: str) -> None:
    task = TaskInstance(kind, "small", 5)
    payload = payload_of(task)
    result = device.execute(task, payload, budget_s=60.0)
    assert result.outcome is Outcome.LOCAL_OK
    assert result.output == get_task(kind).run(payload)
    cost = result.cost
    assert (cost.upload_s, cost.queue_s, cost.download_s) == (0.0, 0.0, 0.0)
    assert (cost.cpu_j, cost.radio_j) == (0.0, 0.0)
    assert cost.compute_s > 0.0


@pytest.mark.measured
@pytest.mark.parametrize("method", [None, "sleep"])
def test_it_is_four_times_slower_than_a_full_core(method: str | None) -> None:
    core = max(os.sched_getaffinity(0))
    payload = payload_of(SMALL)

    with (
        LocalExecutor(1.0, core) as edge,
        LocalExecutor(4.0, core, method=method) as device,  # type: ignore[arg-type]
    ):
        edge.warm_up(["lzma"])
        device.warm_up(["lzma"])
        assert edge.limit.method == "none"
        assert device.limit.method in ("cgroup-v1", "cgroup-v2", "sleep")
        assert device.limit.reason
        full_core_s, device_s = math.inf, math.inf
        for _ in range(12):
            # Other load stretches wall time alone, and the fastest of several runs least.
            edge.execute(SMALL, payload, 60.0)
            full_core_s = min(full_core_s, edge.last_cpu_s)
            device_s = min(device_s, device.execute(SMALL, payload, 60.0).cost.compute_s)
    assert 3.3 <= device_s / full_core_s <= 4.8


def test_bad_input_is_the_callers_error_and_harms_nothing(device: LocalExecutor) -> None:
    device.warm_up(["sudoku"])
    pid = device.pid
    with pytest.raises(TaskError, match="81 or 256"):
        device.execute(TaskInstance("sudoku", "small", 0), b"...", 10.0)
    with pytest.raises(TaskError, match="unknown task"):
        device.execute(TaskInstance("sodoku", "small", 0), b"...", 10.0)
    assert device.pid == pid


@pytest.mark.measured
def test_a_budget_that_runs_out_ends_the_task(device: LocalExecutor) -> None:
    task = TaskInstance("lzma", "large", 0)
    payload = payload_of(task)
    device.warm_up(["lzma"])
    start = time.monotonic()
    result = device.execute(task, payload, budget_s=0.3)
    assert result.outcome is Outcome.FAILED
    assert "budget" in result.detail
    assert result.output == b""
    assert 0.3 <= time.monotonic() - start < 2.0
    assert result.cost.compute_s == pytest.approx(0.3, abs=0.5)
    assert device.execute(SMALL, payload_of(SMALL), 60.0).outcome is Outcome.LOCAL_OK


@pytest.mark.measured
def test_the_sleeping_method_keeps_to_the_budget_too() -> None:
    with LocalExecutor(50.0, method="sleep") as device:
        device.warm_up(["lzma"])
        payload = payload_of(SMALL)  # some 25 ms of CPU, so more than a second altogether
        start = time.monotonic()
        result = device.execute(SMALL, payload, budget_s=0.4)
        assert result.outcome is Outcome.FAILED
        assert 0.39 <= time.monotonic() - start < 1.2


def test_a_dead_child_fails_one_task_and_is_replaced(device: LocalExecutor) -> None:
    device.warm_up(["lzma"])
    first = device.pid
    assert first is not None
    task = TaskInstance("lzma", "large", 0)
    payload = payload_of(task)  # seconds of work
    killer = threading.Timer(0.3, os.kill, (first, signal.SIGKILL))
    killer.start()
    result = device.execute(task, payload, 60.0)
    killer.join()
    assert result.outcome is Outcome.FAILED
    assert "died (status -9)" in result.detail
    assert device.execute(SMALL, payload_of(SMALL), 60.0).outcome is Outcome.LOCAL_OK
    assert device.pid not in (None, first)
    # Killed between two tasks, nobody notices.
    kill_and_wait(device.pid)
    assert device.execute(SMALL, payload_of(SMALL), 60.0).outcome is Outcome.LOCAL_OK


def test_a_new_child_has_the_same_models_loaded() -> None:
    def maps(executor: LocalExecutor) -> str:
        return Path(f"/proc/{executor.pid}/maps").read_text()

    with LocalExecutor(1.0) as executor:
        executor.warm_up([])
        assert "cv2" not in maps(executor)
        executor.warm_up(["blur"])
        assert "cv2" in maps(executor)
        first = executor.pid
        kill_and_wait(first)
        assert executor.execute(SMALL, payload_of(SMALL), 60.0).outcome is Outcome.LOCAL_OK
        assert executor.pid != first
        assert "cv2" in maps(executor)


def test_close_leaves_no_process() -> None:
    with LocalExecutor() as executor:
        executor.warm_up(["sudoku"])
        pid = executor.pid
        assert pid is not None
        assert alive(pid)
    assert not alive(pid)
    assert executor.pid is None


@pytest.mark.parametrize("busy", [False, True])
def test_the_child_dies_with_its_parent(busy: bool) -> None:
    script = """
import sys, threading, time
from offload.local_executor import LocalExecutor
from offload.tasks import get_task
from offload.types import TaskInstance
executor = LocalExecutor(slowdown=20.0)
executor.warm_up(["lzma"])
print(executor.pid, flush=True)
if sys.argv[1] == "True":
    task = TaskInstance("lzma", "large", 0)
    executor.execute(task, get_task("lzma").make_input("large", 0), 1000.0)
time.sleep(1000.0)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(busy)],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(1.0)
        assert alive(child)
        parent.kill()
    end = time.monotonic() + 20.0
    while alive(child) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(child)
    with LocalExecutor(2.0):  # clears the group that the killed parent left
        pass


def test_a_child_started_by_a_thread_outlives_the_thread() -> None:
    with LocalExecutor(1.0) as executor:
        thread = threading.Thread(target=executor.warm_up, args=(["sudoku"],))
        thread.start()
        thread.join()
        time.sleep(0.5)
        pid = executor.pid
        assert pid is not None
        assert alive(pid)


def test_pinning() -> None:
    core = min(os.sched_getaffinity(0))
    with LocalExecutor(1.0, core=core) as executor:
        executor.warm_up([])
        assert executor.pid is not None
        assert os.sched_getaffinity(executor.pid) == {core}
    with pytest.raises(ConfigError, match="core 4711"):
        LocalExecutor(core=4711)


def test_it_is_an_executor_that_isolates() -> None:
    executor: Executor = LocalExecutor(1.0)
    assert isinstance(executor, LocalExecutor)
    assert executor.isolated
    executor.close()
