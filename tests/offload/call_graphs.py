"""Call graphs for the tests of the MAUI programs: the documents' example, and random ones."""

from __future__ import annotations

import numpy as np

from offload.call_graph import Call, CallGraph, Method
from offload.maui import Solution
from offload.types import Placement


def photo_app() -> CallGraph:
    return CallGraph(
        methods=(
            Method("camera", 0.1, 0.1, 0.1, remoteable=False),
            Method("detect", 2.0, 0.2, 4.0),
            Method("classify", 3.0, 0.3, 6.0),
            Method("show", 0.1, 0.1, 0.1, remoteable=False),
        ),
        calls=(
            Call("camera", "detect", 4.0, 2.0),
            Call("detect", "classify", 1.5, 3.0),
            Call("classify", "show", 0.1, 0.2),
        ),
    )


def on_edge(solution: Solution) -> set[str]:
    return {name for name, side in solution.placement.items() if side is Placement.EDGE}


def random_graph(rng: np.random.Generator, methods: int, amount) -> CallGraph:
    names = [f"m{number}" for number in range(methods)]
    vertices = tuple(
        Method(
            name,
            amount(),
            amount(),
            amount(),
            edge_j=0.1 * amount() * rng.integers(2),
            remoteable=bool(rng.random() > 0.2),
        )
        for name in names
    )
    count = int(rng.integers(0, 2 * methods)) if methods > 1 else 0
    calls = tuple(
        Call(*rng.choice(names, 2, replace=False), 0.3 * amount(), 0.3 * amount())
        for _ in range(count)
    )
    groups = tuple(
        frozenset(rng.choice(names, rng.integers(1, min(methods, 3) + 1), replace=False))
        for _ in range(rng.integers(0, 3))
    )
    return CallGraph(vertices, calls, groups)
