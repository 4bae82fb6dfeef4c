"""What the edge server costs: no-op tasks against bare echoes, throughput, CURVE, idle memory.

python benchmarks/edge_server_speed.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.edge_echoes import Call, router_echo, tcp_echo, zmq_echo
from benchmarks.edge_load import EdgeWire, running_server, throughput
from edge_server.security.allow_list import authorize
from edge_server.security.keys import ClientKeys, KeyPair
from edge_server.security.server_folder import clients_folder, make_pair, make_server_folder

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Config:
    """What to time."""

    sizes: tuple[int, ...] = (100, 10_000, 1_000_000)
    """Payload bytes, each way."""
    round_trips: int = 1000
    """Round trips of each contender and size; of 1 MB a tenth."""
    rounds: int = 20
    """The contenders take turns so often, so that all see the same machine."""
    requests: int = 60_000
    """No-op tasks of 100 B sent for the throughput."""
    throughput_runs: int = 5
    clients: int = 8
    workers: int = 2


def interleaved(calls: dict[str, Call], size: int, count: int, rounds: int) -> dict[str, list]:
    """Seconds of each round trip by contender; they take turns, ``rounds`` times."""
    payload = bytes(size)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(20):
            call(payload)
    for _ in tqdm(range(rounds), desc=f"{size} B", disable=None, leave=False):
        for name, call in calls.items():
            for _ in range(max(1, count // rounds)):
                start_s = time.perf_counter()
                received = call(payload)
                seconds[name].append(time.perf_counter() - start_s)
                if received != size:
                    raise SystemExit(f"{name}: {received} bytes came back of {size}")
    return seconds


@contextmanager
def client_keys(folder: Path) -> Iterator[ClientKeys]:
    """A server's keys in that folder, with one client on its list."""
    secret = make_server_folder(folder)
    own = make_pair(folder.parent, "client")
    authorize(clients_folder(folder), own.with_suffix(".key"))
    yield ClientKeys(KeyPair.load(own), KeyPair.load(secret).public)


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


def round_trip_table(config: Config, folder: Path) -> Table:
    """Round trips of the server and of bare echoes, by size."""
    table = Table(title=f"no-op task, {config.workers} workers; p50 (p99) in µs")
    echoes = ("TCP echo", "ROUTER echo", "ZeroMQ echo")
    columns = ("payload", *echoes, "server", "/ ZeroMQ", "/ ROUTER", "/ TCP", "with CURVE")
    for name in columns:
        table.add_column(name, justify="right")
    with ExitStack() as stack:
        enter = stack.enter_context
        keys = enter(client_keys(folder / "server"))
        calls: dict[str, Call] = {
            "ROUTER echo": enter(router_echo()),
            "ZeroMQ echo": enter(zmq_echo(config.workers)),
            "server": enter(EdgeWire(enter(running_server(workers=config.workers)))),
            "with CURVE": enter(
                EdgeWire(
                    enter(running_server(workers=config.workers, keys=folder / "server")),
                    keys=keys,
                )
            ),
        }
        for size in config.sizes:
            count = config.round_trips if size < 1_000_000 else config.round_trips // 10
            with tcp_echo(size) as raw:
                seconds = interleaved({"TCP echo": raw, **calls}, size, count, config.rounds)
            p50 = {name: float(np.percentile(s, 50)) * 1e6 for name, s in seconds.items()}
            p99 = {name: float(np.percentile(s, 99)) * 1e6 for name, s in seconds.items()}
            cell = {name: f"{p50[name]:.0f} ({p99[name]:.0f})" for name in seconds}
            table.add_row(
                f"{size:,} B",
                *(cell[name] for name in echoes),
                cell["server"],
                *(
                    f"{p50['server'] / p50[name]:.2f}"
                    for name in ("ZeroMQ echo", "ROUTER echo", "TCP echo")
                ),
                cell["with CURVE"],
            )
    return table


def main(config: Config) -> None:
    """Measure and print."""
    console = Console(width=130)
    with tempfile.TemporaryDirectory() as folder:
        console.print(round_trip_table(config, Path(folder)))
    with running_server(workers=config.workers) as port:
        throughput(port, config.requests // 10, config.clients)
        rates = [
            throughput(port, config.requests, config.clients) for _ in range(config.throughput_runs)
        ]
    low, middle, high = np.percentile(rates, [0, 50, 100])
    console.print(
        f"no-op tasks of 100 B, {config.clients} clients with 16 open each, "
        f"{config.requests:,} a run, {len(rates)} runs: median {middle:,.0f} tasks/s "
        f"({low:,.0f} to {high:,.0f})"
    )
    pss, rss = idle_memory_bytes(config.workers)
    mib = f"PSS {pss / 2**20:.0f} MiB, RSS {rss / 2**20:.0f} MiB"
    console.print(f"idle server with {config.workers} workers: {mib}")


if __name__ == "__main__":
    main(tyro.cli(Config))
