"""What the edge server itself costs: round trips of an echo task, throughput, idle memory.

python benchmarks/edge_server_echo.py
"""

from __future__ import annotations

import importlib
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
import zmq
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edge_server.client import EdgeClient
from edge_server.config import ServerConfig
from edge_server.protocol import MAX_OPEN_REQUESTS, Done, Run, decode_reply, encode, new_task_id
from edge_server.server import EdgeServer
from offload.errors import OffloadError
from offload.types import TaskInstance

ROOT = Path(__file__).resolve().parents[1]
ECHO = TaskInstance("echo", "small", 0)


@dataclass(frozen=True)
class Config:
    """What to time."""

    sizes: tuple[int, ...] = (100, 100_000, 1_000_000)
    """Payload bytes, each way."""
    round_trips: int = 2000
    """Round trips of the smallest size; larger ones get a tenth."""
    requests: int = 20_000
    """Requests of 100 B sent for the throughput."""
    connections: int = 4
    """Connections of the throughput; each has 16 requests open."""
    workers: int = 2


def echo(kind: str, payload: bytes) -> bytes:
    """The task: nothing but the way."""
    return payload


def serve(workers: int, ports: multiprocessing.connection.Connection) -> None:
    """The server's process: tell the port, serve until SIGTERM."""
    # This file is __main__ when it is run; workers import it by its name.
    run_task = importlib.import_module("edge_server_echo").echo
    with EdgeServer(ServerConfig(port=0, workers=workers, queue=256), run_task=run_task) as server:
        server.stop_on_signals()
        server.start()
        ports.send(server.port)
        server.serve()


@contextmanager
def server(workers: int) -> Iterator[int]:
    """An echo server in a process of its own; gives its port."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    target = importlib.import_module("edge_server_echo").serve
    process = spawn.Process(target=target, args=(workers, theirs))
    process.start()
    theirs.close()  # so that a server that does not start is an EOFError here
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()
        ours.close()


def round_trips(port: int, size: int, count: int) -> dict[str, float]:
    """Seconds of ``count`` round trips, one after the other: percentiles and the median terms."""
    payload = bytes(size)
    with EdgeClient(port=port) as client:
        for _ in range(20):
            client.execute(ECHO, payload, 10.0)
        seconds, queues = [], []
        for _ in tqdm(range(count), desc=f"{size} B", disable=None, leave=False):
            start_s = time.perf_counter()
            result = client.execute(ECHO, payload, 10.0)
            seconds.append(time.perf_counter() - start_s)
            queues.append(result.cost.queue_s)
    p50, p99 = np.percentile(seconds, [50, 99])
    return {"p50": float(p50), "p99": float(p99), "queue": float(np.median(queues))}


def throughput(port: int, requests: int, connections: int) -> float:
    """Requests of 100 B a second while each connection keeps as many open as it may."""
    payload = bytes(100)
    with ExitStack() as stack:
        context = stack.enter_context(zmq.Context())
        poller = zmq.Poller()
        for _ in range(connections):
            socket = stack.enter_context(context.socket(zmq.DEALER))
            socket.setsockopt(zmq.LINGER, 0)
            socket.connect(f"tcp://127.0.0.1:{port}")
            poller.register(socket, zmq.POLLIN)
        start_s = time.perf_counter()
        for number in range(1, MAX_OPEN_REQUESTS + 1):
            for socket, _ in poller.sockets:
                socket.send_multipart([encode(Run(number, "echo", 60_000, new_task_id())), payload])
        received = 0
        while received < requests:
            for socket, _ in poller.poll():
                header, _ = socket.recv_multipart()
                reply = decode_reply(header)
                if not isinstance(reply, Done):
                    raise OffloadError(f"the echo failed: {reply}")
                received += 1
                socket.send_multipart(
                    [encode(Run(reply.id, "echo", 60_000, new_task_id())), payload]
                )
        return received / (time.perf_counter() - start_s)


def idle_memory_bytes(workers: int) -> tuple[int, int]:
    """(PSS, RSS) of an idle ``python -m edge_server`` and its workers, summed."""
    with subprocess.Popen(
        [sys.executable, "-m", "edge_server", "--port", "0", "--workers", str(workers)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        totals = {"Pss:": 0, "Rss:": 0}
        for pid in [str(process.pid), *children]:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name, *rest = line.split()
                if name in totals:
                    totals[name] += int(rest[0]) * 1024
        process.terminate()
    return totals["Pss:"], totals["Rss:"]


def main(config: Config) -> None:
    """Measure and print."""
    table = Table(title=f"echo over the loopback, {config.workers} workers")
    for name in ("payload", "p50 µs", "p99 µs", "in the server µs", "MB/s both ways"):
        table.add_column(name, justify="right")
    with server(config.workers) as port:
        for number, size in enumerate(config.sizes):
            count = config.round_trips if number == 0 else max(1, config.round_trips // 10)
            times = round_trips(port, size, count)
            rate = 2 * size / times["p50"] / 1e6
            table.add_row(
                f"{size} B",
                *(f"{times[key] * 1e6:.0f}" for key in ("p50", "p99", "queue")),
                f"{rate:.1f}",
            )
        a_second = throughput(port, config.requests, config.connections)
    pss, rss = idle_memory_bytes(config.workers)
    console = Console()
    console.print(table)
    open_requests = config.connections * MAX_OPEN_REQUESTS
    console.print(f"throughput, 100 B, {open_requests} open: {a_second:,.0f} requests/s")
    mib = f"PSS {pss / 2**20:.0f} MiB, RSS {rss / 2**20:.0f} MiB"
    console.print(f"idle server with {config.workers} workers: {mib}")


if __name__ == "__main__":
    main(tyro.cli(Config))
