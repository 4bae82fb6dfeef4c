"""The edge server beside gRPC, Ray, Dask and a process pool, on the same work in one run.

python benchmarks/edge_rivals.py    (the others: pip install -r requirements-rivals.txt)
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.edge_load import NO_OP, SPIN
from benchmarks.edge_rival_systems import OURS, RIVALS, Run, beside_ours


@dataclass(frozen=True)
class Config:
    """What to time."""

    sizes: tuple[int, ...] = (100, 10_000, 1_000_000)
    """Payload bytes of a no-op task, each way."""
    round_trips: int = 400
    """Round trips of each system and size, one after the other; of 1 MB a tenth."""
    rounds: int = 10
    """Two systems take turns so often, so that both see the same machine."""
    task_ms: tuple[float, ...] = (1.0, 10.0)
    """CPU milliseconds of the tasks that keep the cores busy."""
    busy_s: float = 1.0
    """CPU seconds of such tasks, each round."""
    clients: int = 8
    """Threads that have one such task under way each."""
    workers: int = 2


def round_trips(systems: dict[str, Run], size: int, config: Config) -> dict[str, np.ndarray]:
    """Seconds of each no-op round trip, by system.

    Raises:
        SystemExit: other bytes came back than went out.
    """
    payload = bytes(size)
    count = config.round_trips if size < 1_000_000 else config.round_trips // 10
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    for run in systems.values():
        for _ in range(20):
            run(NO_OP, payload)
    for _ in range(config.rounds):
        for name, run in systems.items():
            for _ in range(max(1, count // config.rounds)):
                start_s = time.perf_counter()
                output = run(NO_OP, payload)
                seconds[name].append(time.perf_counter() - start_s)
                if output != payload:
                    raise SystemExit(f"{name}: {len(output)} bytes came back of {size}")
    return {name: np.array(each) for name, each in seconds.items()}


def share_of_cores(run: Run, task_ms: float, config: Config) -> float:
    """Share of the workers' time that went into tasks, while clients keep them busy."""
    each = max(1, round(config.busy_s * 1000 / task_ms / config.clients))
    payload = str(task_ms / 1000).encode()

    def work() -> None:
        for _ in range(each):
            run(SPIN, payload)

    threads = [threading.Thread(target=work) for _ in range(config.clients)]
    start_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall_s = time.perf_counter() - start_s
    return each * config.clients * task_ms / 1000 / (wall_s * config.workers)


@dataclass(frozen=True)
class Measured:
    """What one other system took, and this server beside it.

    Attributes:
        seconds: by payload bytes and system, of each round trip.
        shares: by CPU milliseconds of a task and system, of the workers' time, of each round.
    """

    seconds: dict[int, dict[str, np.ndarray]]
    shares: dict[float, dict[str, list[float]]]


def measure(name: str, config: Config) -> Measured:
    """Measure one other system, taking turns with this server.

    Raises:
        ImportError: it is not installed.
    """
    with beside_ours(name, config.workers) as systems:
        seconds = {size: round_trips(systems, size, config) for size in config.sizes}
        shares: dict[float, dict[str, list[float]]] = {}
        for task_ms in config.task_ms:
            shares[task_ms] = {system: [] for system in systems}
            for _ in range(max(1, config.rounds // 2)):
                for system, run in systems.items():
                    shares[task_ms][system].append(share_of_cores(run, task_ms, config))
    return Measured(seconds, shares)


def main(config: Config) -> None:
    """Measure and print."""
    console = Console(width=150)
    trips = Table(
        title=f"no-op task, {config.workers} workers: p50 (p99) µs; this server's p50 beside it; "
        "how many times that"
    )
    busy = Table(title=f"share of {config.workers} workers' time spent in tasks: median (range)")
    for table, columns in (
        (trips, [f"{size:,} B" for size in config.sizes]),
        (busy, [f"{task_ms:g} ms tasks; this server" for task_ms in config.task_ms]),
    ):
        for column in ("system", *columns):
            table.add_column(column)
    for name in tqdm(RIVALS, disable=None, leave=False):
        try:
            taken = measure(name, config)
        except ImportError as error:
            trips.add_row(name, f"{error.name} is not installed (requirements-rivals.txt)")
            continue
        trips.add_row(name, *(_trip(taken.seconds[size], name) for size in config.sizes))
        busy.add_row(
            name,
            *(
                f"{_span(taken.shares[task_ms][name])}; {_span(taken.shares[task_ms][OURS])}"
                for task_ms in config.task_ms
            ),
        )
    console.print(trips)
    console.print(busy)


def _trip(seconds: dict[str, np.ndarray], name: str) -> str:
    p50, p99 = np.percentile(seconds[name], [50, 99])
    ours = float(np.median(seconds[OURS]))
    return f"{p50 * 1e6:,.0f} ({p99 * 1e6:,.0f}); {ours * 1e6:,.0f}; {p50 / ours:.1f}x"


def _span(shares: list[float]) -> str:
    low, middle, high = np.percentile(shares, [0, 50, 100])
    return f"{middle:.0%} ({low:.0%} to {high:.0%})"


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
