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

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.edge_load import NO_OP, SPIN
from benchmarks.edge_rival_systems import Run, running


@dataclass(frozen=True)
class Config:
    """What to time."""

    sizes: tuple[int, ...] = (100, 10_000, 1_000_000)
    """Payload bytes of a no-op task, each way."""
    round_trips: int = 400
    """Round trips of each system and size, one after the other; of 1 MB a tenth."""
    rounds: int = 10
    """The systems take turns so often, so that all see the same machine."""
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


def main(config: Config) -> None:
    """Measure and print."""
    console = Console(width=110)
    with running(config.workers) as (systems, missing):
        table = Table(title=f"no-op task, {config.workers} workers: p50 (p99) µs, and times ours")
        table.add_column("system")
        for size in config.sizes:
            table.add_column(f"{size:,} B", justify="right")
        taken = {size: round_trips(systems, size, config) for size in config.sizes}
        ours = {size: float(np.median(taken[size]["this server"])) for size in config.sizes}
        for name in systems:
            cells = []
            for size in config.sizes:
                p50, p99 = np.percentile(taken[size][name], [50, 99])
                cells.append(f"{p50 * 1e6:,.0f} ({p99 * 1e6:,.0f})  {p50 / ours[size]:.1f}x")
            table.add_row(name, *cells)
        for name, reason in missing.items():
            table.add_row(name, reason)
        console.print(table)

        table = Table(
            title=f"share of {config.workers} workers' time spent in tasks (median; range)"
        )
        table.add_column("system")
        for task_ms in config.task_ms:
            table.add_column(f"{task_ms:g} ms tasks", justify="right")
        shares: dict[tuple[str, float], list[float]] = {}
        for _ in range(config.rounds // 2):
            for task_ms in config.task_ms:
                for name, run in systems.items():
                    share = share_of_cores(run, task_ms, config)
                    shares.setdefault((name, task_ms), []).append(share)
        for name in systems:
            table.add_row(name, *(_span(shares[name, task_ms]) for task_ms in config.task_ms))
        console.print(table)


def _span(shares: list[float]) -> str:
    low, middle, high = np.percentile(shares, [0, 50, 100])
    return f"{middle:.0%} ({low:.0%} to {high:.0%})"


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
