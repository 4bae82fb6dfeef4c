"""The server in front of a real Ray cluster of several nodes on this machine.

    pip install -r requirements-ray.txt && python -m pytest -k ray

One cluster and one server for all tests of this file; the last ones take them apart.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from ray_cluster import Cluster, kill_node, parent_of, ray_cluster
from running_edge_server import a_task, alive, wait_until

from offload.errors import RemoteFailure, RemoteTimeout

pytest.importorskip("ray", reason="Ray is not installed; pip install -r requirements-ray.txt")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class Server(NamedTuple):
    process: subprocess.Popen[str]
    port: int
    metrics_port: int


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with ray_cluster(HERE) as running:
        yield running


@pytest.fixture(scope="module")
def server(cluster: Cluster) -> Iterator[Server]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(HERE)))}
    command = [sys.executable, str(HERE / "ray_edge_server.py"), cluster.address, "2"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        ports = next(line.split()[1:] for line in process.stdout if line.startswith("ports"))
        yield Server(process, *map(int, ports))
        if process.poll() is None:
            process.kill()


def code_of(client, kind: str, payload: bytes = b"", budget_s: float = 20.0) -> str:
    with pytest.raises(RemoteFailure) as info:
        client.execute(a_task(kind), payload, budget_s)
    return info.value.code


def both_ready(client) -> bool:
    return client.stats(5.0).workers == 2


@pytest.mark.parametrize("size", [0, 100, 200_000, 3_000_000])
def test_a_task_gets_its_bytes_back(server, connect, size):
    client = connect(server.port)
    payload = os.urandom(size)
    assert client.execute(a_task("echo"), payload, 20.0).output == payload


def test_errors_are_those_of_the_protocol(server, connect):
    client = connect(server.port)
    assert code_of(client, "no-such-task") == "unknown_kind"
    assert code_of(client, "fail") == "task_failed"
    assert code_of(client, "bad_input") == "bad_request"
    assert code_of(client, "not_bytes") == "task_failed"
    assert code_of(client, "crash") == "worker_died"
    assert wait_until(lambda: both_ready(client), 60.0)
    assert client.execute(a_task("echo"), b"again", 20.0).output == b"again"


def test_the_workers_are_on_different_nodes(cluster, server, connect, tmp_path):
    clients = [connect(server.port) for _ in range(2)]
    threads = [
        threading.Thread(
            target=client.execute, args=(a_task("touch_then_sleep"), f"{file} 1".encode(), 20.0)
        )
        for client, file in zip(clients, (tmp_path / "a", tmp_path / "b"), strict=True)
    ]
    for thread in threads:
        thread.start()
    assert wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    pids = [int(file.read_text()) for file in tmp_path.iterdir()]
    assert {parent_of(pid) for pid in pids} == set(cluster.raylets)
    for thread in threads:
        thread.join()


def test_a_task_past_its_budget_is_answered_in_time_and_killed(server, connect, tmp_path):
    client, file = connect(server.port), tmp_path / "pid"
    start_s = time.monotonic()
    with pytest.raises(RemoteTimeout):
        client.execute(a_task("grandchild"), str(file).encode(), 1.0)
    assert time.monotonic() - start_s < 1.5
    child = int(file.read_text())
    assert wait_until(lambda: not alive(child), 10.0)
    assert wait_until(lambda: both_ready(client), 60.0)


def test_a_cancelled_task_is_answered_at_once_and_its_worker_freed(server, connect, raw, tmp_path):
    """Both workers are at tasks of 60 s; what waits for one of them runs when that is cancelled."""
    client, file = raw(server.port), tmp_path / "pid"
    running = [client.send("grandchild", f"{file}{n}".encode()) for n in range(2)]
    assert wait_until(lambda: len(list(tmp_path.iterdir())) == 2, 30.0)
    waiting = client.send("echo", b"next")
    for number in running:
        client.cancel(number)
        assert client.status(number) == "cancelled"
    assert client.status(waiting, 50.0) == "ok"
    for n in range(2):
        child = int((tmp_path / f"pid{n}").read_text())
        assert wait_until(lambda pid=child: not alive(pid), 10.0)
    assert wait_until(lambda: both_ready(connect(server.port)), 60.0)


def test_a_node_is_killed_in_mid_task(cluster, server, connect, tmp_path):
    """The task on it is answered worker_died, the one beside it ends well, and work goes on."""
    clients = [connect(server.port) for _ in range(2)]
    outcomes: dict[int, str] = {}

    def run(number: int) -> None:
        payload = f"{tmp_path / str(number)} 20".encode()
        try:
            result = clients[number].execute(a_task("touch_then_sleep"), payload, 60.0)
            outcomes[number] = result.output.decode()
        except RemoteFailure as error:
            outcomes[number] = error.code

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    assert wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    raylet = parent_of(int((tmp_path / "0").read_text()))
    assert raylet in cluster.raylets
    killed_s = time.monotonic()
    kill_node(raylet)
    threads[0].join()
    assert outcomes == {0: "worker_died"}
    assert time.monotonic() - killed_s < 15.0
    threads[1].join()
    assert outcomes == {0: "worker_died", 1: "touched"}
    assert clients[0].execute(a_task("echo"), b"on the other", 20.0).output == b"on the other"


def test_it_drains_and_leaves_no_worker(cluster, server, connect, tmp_path):
    file = tmp_path / "pid"
    client, results = connect(server.port), []
    payload = f"{file} 1.5".encode()
    task = a_task("touch_then_sleep")
    thread = threading.Thread(target=lambda: results.append(client.execute(task, payload, 20.0)))
    thread.start()
    assert wait_until(file.exists)
    assert wait_until(lambda: bool(file.read_text()))
    server.process.terminate()
    thread.join()
    assert results[0].output == b"touched"
    assert server.process.wait(30) == 0
    assert wait_until(lambda: not alive(int(file.read_text())))


def test_a_cluster_that_is_too_small_or_missing_is_said(cluster):
    """By the command, since Ray never gives back all descriptors of a process it was in."""

    def command(*options: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "edge_server", "--port", "0", "--executor", "ray", *options]
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)

    small = command("--ray-address", cluster.address, "--workers", "50")
    assert small.returncode == 2
    assert re.search(r"has \d CPUs and 50 are asked for", small.stderr)
    missing = command("--ray-address", "127.0.0.1:1")
    assert missing.returncode == 2
    assert "no Ray cluster" in missing.stderr
    assert "HOST:PORT" in command("--ray-address", "head").stderr
    assert "give both" in command().stderr
