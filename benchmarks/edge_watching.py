"""What it costs to watch the edge server: counting, a page that is read, a log line a task.

python benchmarks/edge_watching.py
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import threading
import time
import timeit
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.edge_load import HOST, EdgeWire, running_server, throughput
from edge_server.watching.logs import log_task
from edge_server.watching.tally import ServerTally

WAYS = ("nothing read", "page read each second", "and a line of JSON a task")


@dataclass(frozen=True)
class Config:
    """What to time."""

    round_trips: int = 2000
    """No-op round trips of 100 B each way, of each way of watching."""
    requests: int = 20_000
    """No-op tasks of 100 B a run of the throughput."""
    rounds: int = 10
    """The ways of watching take turns so often."""


def free_port() -> int:
    """A TCP port that was free just now."""
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def reader(port: int) -> Iterator[None]:
    """Reads the page each second, as Prometheus would, five times as often."""
    over = threading.Event()

    def read() -> None:
        while not over.wait(1.0):
            urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=5).read()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def stderr_in(path: str) -> Iterator[None]:
    """What processes that are started meanwhile write to stderr goes to a file."""
    kept = os.dup(2)
    with open(path, "wb") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def counting_ns() -> tuple[float, float]:
    """Nanoseconds to count one task, and to find that its line is not wanted: best of 20."""
    tally = ServerTally()
    count = 20_000
    counted = timeit.repeat(
        lambda: tally.answered("echo", None, 0.0001, 0.0003, 1.0), number=count, repeat=20
    )
    unlogged = timeit.repeat(
        lambda: log_task(1, "echo", "ok", 0.0003, 0.0001), number=count, repeat=20
    )
    return min(counted) / count * 1e9, min(unlogged) / count * 1e9


def main(config: Config) -> None:
    """Measure and print."""
    console = Console(width=100)
    counted_ns, unlogged_ns = counting_ns()
    console.print(
        f"counting a task: {counted_ns:.0f} ns; a log line that is not wanted: {unlogged_ns:.0f} ns"
    )
    trips: dict[str, list[float]] = {way: [] for way in WAYS}
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    payload = bytes(100)
    with ExitStack() as stack:
        enter = stack.enter_context
        folder = enter(tempfile.TemporaryDirectory())
        ports = {WAYS[0]: enter(running_server())}
        formats: dict[str, Literal["text", "json"]] = {WAYS[1]: "text", WAYS[2]: "json"}
        for way, log_format in formats.items():
            page = free_port()
            with stderr_in(f"{folder}/{log_format}.log"):
                ports[way] = enter(running_server(metrics_port=page, log_format=log_format))
            enter(reader(page))
        wires = {way: enter(EdgeWire(port)) for way, port in ports.items()}
        for _ in range(config.rounds):
            for way, wire in wires.items():
                for _ in range(config.round_trips // config.rounds):
                    start_s = time.perf_counter()
                    wire(payload)
                    trips[way].append(time.perf_counter() - start_s)
            for way, port in ports.items():
                rates[way].append(throughput(port, config.requests, 8))
    table = Table(title="no-op tasks of 100 B, 2 workers")
    for name in ("watched by", "p50 µs", "p99 µs", "tasks/s, 8 clients (median; range)"):
        table.add_column(name, justify="left" if name == "watched by" else "right")
    for way in WAYS:
        p50, p99 = np.percentile(trips[way], [50, 99]) * 1e6
        low, middle, high = np.percentile(rates[way], [0, 50, 100])
        table.add_row(way, f"{p50:.0f}", f"{p99:.0f}", f"{middle:,.0f} ({low:,.0f} to {high:,.0f})")
    console.print(table)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
