"""A real server, watched from outside while it works, loses a worker, drains and ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from running_edge_server import a_task, wait_until

from edge_server.client import EdgeClient
from edge_server.config import ServerConfig
from edge_server.server import EdgeServer
from offload.errors import ConfigError, RemoteFailure

ROOT = Path(__file__).parents[3]


def read(port: int, page: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def samples(port: int) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(read(port, "/metrics")[1])
        for sample in family.samples
    }


def test_the_page_tells_what_has_happened(start_server, connect):
    running = start_server(metrics_port=0, workers=1)
    server, client = running.server, connect(running.port)
    port = server.metrics_port
    for _ in range(5):
        client.execute(a_task("echo"), b"x", 5.0)
    with pytest.raises(RemoteFailure):
        client.execute(a_task("fail"), b"", 5.0)
    os.kill(server.worker_pids[0], signal.SIGKILL)
    assert wait_until(lambda: samples(port)["edge_server_worker_restarts_total",] == 1)
    assert wait_until(lambda: read(port, "/healthz") == (200, "serving\n"))
    page = samples(port)
    assert page["edge_server_requests_total", "ok"] == 5
    assert page["edge_server_requests_total", "task_failed"] == 1
    assert page["edge_server_compute_seconds_count", "echo"] == 5
    assert page["edge_server_request_seconds_count",] == 6
    assert page["edge_server_pending_tasks", "running"] == 0
    assert page["edge_server_open_connections",] == 1


def test_a_server_that_drains_is_unhealthy_while_it_finishes(start_server, connect):
    running = start_server(metrics_port=0, workers=1, grace_s=10.0)
    port, client = running.server.metrics_port, connect(running.port)
    thread = threading.Thread(target=client.execute, args=(a_task("sleep"), b"1.5", 10.0))
    thread.start()
    assert wait_until(lambda: samples(port)["edge_server_pending_tasks", "running"] == 1)
    running.drain()
    assert wait_until(lambda: read(port, "/healthz") == (503, "draining\n"))
    assert samples(port)["edge_server_draining",] == 1
    thread.join()


def test_a_server_without_a_metrics_port_has_no_page(start_server):
    assert start_server().server.metrics_port is None


def test_a_taken_metrics_port_is_said_and_leaves_nothing(start_server):
    taken = start_server(metrics_port=0).server.metrics_port
    with pytest.raises(ConfigError, match="--metrics-port"):
        EdgeServer(ServerConfig(port=0, metrics_port=taken))


def test_each_task_is_a_line_of_json_without_payload_on_stderr():
    options = ["--port", "0", "--workers", "1", "--metrics-port", "0", "--log-format", "json"]
    with subprocess.Popen(
        [sys.executable, "-m", "edge_server", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        line = process.stdout.readline()
        task_port, metrics_port = (int(part.split()[0]) for part in line.split(":")[2:])
        with (
            EdgeClient(port=task_port) as client,
            pytest.raises(RemoteFailure, match="unknown_kind"),
        ):
            client.execute(a_task("no-such-task"), b"very secret", 20.0)
        assert samples(metrics_port)["edge_server_requests_total", "unknown_kind"] == 1
        process.terminate()
        _, errors = process.communicate(timeout=20)
    lines = [json.loads(line) for line in errors.splitlines()]
    (task,) = [line["task"] for line in lines if "task" in line]
    assert (task["kind"], task["outcome"]) == ("no-such-task", "unknown_kind")
    assert task["queue_s"] >= 0
    assert "secret" not in errors
