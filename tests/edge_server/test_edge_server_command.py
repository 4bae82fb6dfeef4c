"""``python -m edge_server`` as an operator meets it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from running_edge_server import a_task, alive, wait_until

from edge_server.client import EdgeClient
from edge_server.config import ServerConfig
from edge_server.server import EdgeServer
from offload.errors import RemoteFailure, RemoteTimeout

ROOT = Path(__file__).parents[2]
ANYBODY = ["--insecure-let-anybody-in", "--log-level", "error"]
COMMAND = [sys.executable, "-m", "edge_server"]


@contextmanager
def command(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running server and its first line; killed at the end if it still runs."""
    process = subprocess.Popen(
        [*COMMAND, *options], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline()
        finally:
            process.kill()


def port_of(line: str) -> int:
    match = re.fullmatch(
        r"edge server ready on tcp://127\.0\.0\.1:(\d+) with (?:1 worker|\d workers)\n", line
    )
    assert match, line
    return int(match[1])


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_ready_line_service_and_clean_end(sent):
    with command("--port", "0") as (process, line):
        with EdgeClient(port=port_of(line)) as client:
            assert client.ping() < 1.0
            with pytest.raises(RemoteFailure) as info:
                client.execute(a_task("no-such-task"), b"", 20.0)
            assert info.value.code == "unknown_kind"
        workers = children_of(process.pid)
        assert len(workers) == 2
        process.send_signal(sent)
        out, err = process.communicate(timeout=10)
        assert (process.returncode, out, err) == (0, "", "")
        assert not any(alive(pid) for pid in workers)


BUSY_SERVER = """
import sys
sys.path[:0] = {path!r}
import edge_server_tasks
from edge_server.config import ServerConfig
from edge_server.server import EdgeServer
with EdgeServer(ServerConfig(port=0, workers=1), run_task=edge_server_tasks.run_task) as server:
    server.start()
    print(server.port, flush=True)
    server.serve()
"""


@pytest.mark.chaos
def test_a_busy_worker_dies_with_its_server(tmp_path):
    """A killed server cannot tell its workers; one inside a task does not read its channel."""
    script = BUSY_SERVER.format(path=[str(ROOT), str(Path(__file__).parent)])
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        marker = tmp_path / "started"
        with EdgeClient(port=int(process.stdout.readline())) as client:
            with pytest.raises(RemoteTimeout):
                client.execute(a_task("touch_then_sleep"), f"{marker} 50".encode(), 0.5)
            worker = int(marker.read_text())
            assert alive(worker)
            process.kill()
            assert wait_until(lambda: not alive(worker), 3)


def test_an_idle_server_has_imported_nothing_heavy():
    with command("--port", "0", "--workers", "2") as (process, line):
        port_of(line)
        for pid in [process.pid, *children_of(process.pid)]:
            maps = Path(f"/proc/{pid}/maps").read_text()
            for heavy in ("numpy", "cv2", "onnxruntime", "torch"):
                assert heavy not in maps, f"{heavy} in {pid}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--workers", "0"], "edge_server: workers is 0; it must lie from 1 to 256"),
        (["--bind", "192.0.2.1"], "edge_server: bind is 192.0.2.1, where others can reach it"),
        (
            ["--bind", "192.0.2.1", *ANYBODY],
            "edge_server: cannot listen on 192.0.2.1:5555: the address is",
        ),
        (["--executor", "ray"], "edge_server: executor ray and ray_address HOST:PORT go together"),
        (
            ["--executor", "ray", "--ray-address", "head"],
            "edge_server: the Ray address is 'head'; give HOST:PORT",
        ),
    ],
)
def test_bad_options_are_one_line_and_status_2(options, message):
    done = subprocess.run([*COMMAND, *options], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_a_taken_port_is_one_line_and_status_2():
    with EdgeServer(ServerConfig(port=0)) as server:
        done = subprocess.run(
            [*COMMAND, "--port", str(server.port)], cwd=ROOT, capture_output=True, text=True
        )
    assert done.returncode == 2
    assert done.stderr == (
        f"edge_server: cannot listen on 127.0.0.1:{server.port}: the port is taken; "
        "choose another with --port, or --port 0\n"
    )


@pytest.mark.measured
def test_help_comes_at_once_and_offers_no_code_from_outside():
    start_s = time.monotonic()
    done = subprocess.run([*COMMAND, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert time.monotonic() - start_s < 2.0  # 0.1 s on a quiet machine
    assert done.returncode == 0
    options = set(re.findall(r"--([a-z-]+)", done.stdout))
    assert options == {
        "help", "bind", "port", "workers", "queue", "max-message-bytes", "max-task-s",
        "overrun-grace-s", "grace-s", "congestion-control", "log-level", "keys",
        "insecure-let-anybody-in", "no-insecure-let-anybody-in", "max-connections",
        "max-heap-bytes", "queue-bytes", "max-open", "max-task-memory-bytes", "answer-cache-bytes",
        "log-format", "metrics-bind", "metrics-port", "executor", "ray-address",
    }  # fmt: skip


def test_a_real_task_runs():
    """Sudoku needs NumPy alone; its answer is checked here by the rules of the game."""
    from offload.tasks import get_task

    task = get_task("sudoku")
    payload = task.make_input("small", seed=1)
    with (
        command("--port", "0", "--workers", "1") as (_, line),
        EdgeClient(port=port_of(line)) as client,
    ):
        output = client.execute(a_task("sudoku"), payload, 60.0).output
    rows = [output.decode()[i : i + 9] for i in range(0, 81, 9)]
    assert all(set(row) == set("123456789") for row in rows)
    assert all(set(column) == set("123456789") for column in zip(*rows, strict=True))


def test_the_environment_of_the_test_is_not_the_reason(monkeypatch):
    """Workers find the package through the server's own path, wherever they are started."""
    monkeypatch.chdir("/")
    with EdgeServer(ServerConfig(port=0, workers=1)) as server:
        server.start()
        assert len(server.worker_pids) == 1
    assert os.getcwd() == "/"
