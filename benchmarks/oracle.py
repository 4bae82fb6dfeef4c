"""How fast the MAUI oracle answers: decisions a second for single tasks, ms for whole programs.

python benchmarks/oracle.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from offload.call_graph import Call, CallGraph, Method
from offload.maui import default_time_bound_s, minimise_energy, place_single_tasks


@dataclass(frozen=True)
class Config:
    """What to time."""

    tasks: int = 1_000_000
    """Single tasks in one batch."""
    batches: int = 20
    """Batches of single tasks; the median is reported."""
    sizes: tuple[int, ...] = (10, 30, 100, 300)
    """Methods of the whole programs."""
    graphs: int = 20
    """Random graphs of each size and shape."""
    seed: int = 0


def random_graph(rng: np.random.Generator, methods: int, calls_per_method: int) -> CallGraph:
    """A DAG whose method 0 is the pinned root; one call per method makes it a tree."""

    def amount(mean: float) -> float:
        return float(rng.exponential(mean))

    vertices = [Method("m0", amount(0.1), amount(0.1), amount(0.1), remoteable=False)]
    edges = []
    for number in range(1, methods):
        vertices.append(Method(f"m{number}", amount(1.0), amount(0.2), amount(1.0)))
        for caller in rng.choice(number, size=min(calls_per_method, number), replace=False):
            edges.append(Call(f"m{caller}", f"m{number}", amount(0.5), amount(0.5)))
    return CallGraph(tuple(vertices), tuple(edges))


def decisions_per_second(config: Config, with_deadline: bool) -> float:
    """Median rate of :func:`place_single_tasks`."""
    rng = np.random.default_rng(config.seed)
    local_s, edge_s, local_j, edge_j, bound = rng.exponential(1.0, (5, config.tasks))
    bound_s = bound if with_deadline else np.inf
    seconds = [
        _timed(lambda: place_single_tasks(local_s, edge_s, local_j, edge_j, 0.5, 0.5, bound_s))
        for _ in range(config.batches)
    ]
    return config.tasks / float(np.median(seconds))


def program_seconds(config: Config, methods: int, calls_per_method: int) -> list[float]:
    """Seconds of MAUI's energy program with its own time bound, one a random graph."""
    rng = np.random.default_rng(config.seed)
    taken = []
    for _ in tqdm(range(config.graphs), desc=f"{methods} methods", disable=None, leave=False):
        graph = random_graph(rng, methods, calls_per_method)
        bound_s = default_time_bound_s(graph) * 0.5
        taken.append(_timed(partial(minimise_energy, graph, bound_s)))
    return taken


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(config: Config) -> None:
    """Print both tables."""
    console = Console()
    table = Table("single tasks", "decisions/s", title=f"batches of {config.tasks}")
    for label, with_deadline in (("no deadline", False), ("deadlines", True)):
        table.add_row(label, f"{decisions_per_second(config, with_deadline):.3g}")
    console.print(table)
    table = Table(
        "graph", "methods", "median ms", "worst ms", title="minimise_energy, L = 0.525 all-local"
    )
    for label, calls_per_method in (("tree", 1), ("DAG, 3 calls a method", 3)):
        for methods in config.sizes:
            milliseconds = np.array(program_seconds(config, methods, calls_per_method)) * 1e3
            table.add_row(
                label, str(methods), f"{np.median(milliseconds):.1f}", f"{milliseconds.max():.1f}"
            )
    console.print(table)


if __name__ == "__main__":
    main(tyro.cli(Config))
