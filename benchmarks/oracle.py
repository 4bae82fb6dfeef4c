"""How fast the MAUI oracle answers, by every exact method: ``python benchmarks/oracle.py``.

Decisions a second for single tasks, microseconds for programs placed many at once, and microseconds
for one program by each method of the ladder that fits it, on the same random graphs.
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
from offload.maui import (
    Amounts,
    SolvedBy,
    default_time_bound_s,
    minimise_weighted,
    place_programs,
    place_single_tasks,
)


@dataclass(frozen=True)
class Config:
    """What to time."""

    tasks: int = 1_000_000
    """Single tasks in one batch."""
    batches: int = 20
    """Batches of single tasks; the median is reported."""
    programs: int = 10_000
    """Programs of one shape in one batch."""
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


def rungs() -> list[tuple[str, str, bool, list[SolvedBy]]]:
    """Name, shape and bound of each kind of program, and the methods to time on it."""
    whole = SolvedBy.INTEGER_PROGRAM
    return [
        ("one task", "single", True, [SolvedBy.CLOSED_FORM, whole]),
        ("8 free methods", "small", True, [SolvedBy.EVERY_PLACEMENT, whole]),
        ("tree", "tree", False, [SolvedBy.TREE, SolvedBy.MINIMUM_CUT, whole]),
        ("tree", "tree", True, [SolvedBy.PARETO_TREE, whole]),
        ("DAG, 3 calls a method", "dag", False, [SolvedBy.MINIMUM_CUT, whole]),
        ("DAG, 3 calls a method", "dag", True, [whole]),
    ]


def _graphs(config: Config, shape: str, methods: int) -> list[CallGraph]:
    rng = np.random.default_rng(config.seed)
    if shape == "single":
        names = ("local_s", "edge_s", "local_j", "edge_j", "transfer_s", "transfer_j")
        draws = rng.exponential(1.0, (config.graphs, len(names)))
        return [
            CallGraph.single_task(**dict(zip(names, row.tolist(), strict=True))) for row in draws
        ]
    calls = {"small": 3, "tree": 1, "dag": 3}[shape]
    return [random_graph(rng, methods, calls) for _ in range(config.graphs)]


def ladder_table(config: Config) -> Table:
    """Median and worst time of every method that fits, on the same random graphs."""
    table = Table(
        "program", "methods", "bound", "method", "median us", "worst us", "gave up",
        title="least joules; L = 0.525 all-local where there is a bound",
    )  # fmt: skip
    for label, shape, bounded, methods_to_time in tqdm(rungs(), disable=None, leave=False):
        for size in {"single": (2,), "small": (9,)}.get(shape, config.sizes):
            graphs = _graphs(config, shape, size)
            bound_s = [default_time_bound_s(g) * 0.5 if bounded else np.inf for g in graphs]
            for method in methods_to_time:
                taken, gave_up = [], 0
                for graph, bound in zip(graphs, bound_s, strict=True):
                    graph.costs(np.zeros(len(graph.methods)))  # its cached columns are not timed
                    start = time.perf_counter()
                    found = minimise_weighted(graph, 0.0, 1.0, bound, by=method)
                    taken.append(time.perf_counter() - start)
                    gave_up += found.solved_by is not method
                micro = np.array(taken) * 1e6
                table.add_row(
                    label, str(size), "L" if bounded else "none", str(method),
                    f"{np.median(micro):,.0f}", f"{micro.max():,.0f}", str(gave_up),
                )  # fmt: skip
    return table


def batch_table(config: Config) -> Table:
    """Microseconds a program where many of one shape are placed at once."""
    table = Table(
        "programs at once", "bound", "us a program", title=f"batches of {config.programs:,}"
    )
    rng = np.random.default_rng(config.seed)
    for label, methods, calls, bounded in (
        ("tree of 30 methods", 30, 1, False),
        ("8 free methods, 3 calls a method", 9, 3, True),
        ("5 free methods, 3 calls a method", 6, 3, True),
    ):
        graph = random_graph(rng, methods, calls)
        amounts = Amounts(
            rng.exponential(1.0, (2, config.programs, methods)),
            rng.exponential(0.2, (2, config.programs, methods)),
            rng.exponential(0.5, (2, config.programs, len(graph.calls))),
        )
        bound_s = 0.5 * amounts.local[0].sum(axis=1) if bounded else np.inf
        place = partial(place_programs, graph, amounts, 0.0, 1.0, bound_s)
        seconds = float(np.median([_timed(place) for _ in range(5)]))
        table.add_row(label, "L" if bounded else "none", f"{seconds / config.programs * 1e6:.2f}")
    return table


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(config: Config) -> None:
    """Print the tables."""
    console = Console()
    table = Table("single tasks", "decisions/s", title=f"batches of {config.tasks}")
    for label, with_deadline in (("no deadline", False), ("deadlines", True)):
        table.add_row(label, f"{decisions_per_second(config, with_deadline):.3g}")
    console.print(table)
    console.print(batch_table(config))
    console.print(ladder_table(config))


if __name__ == "__main__":
    main(tyro.cli(Config))
