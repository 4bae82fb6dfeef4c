"""A call graph's program over its free components alone, for one set of amounts or for many.

Components that are pinned to the device drop out: their own cost is a constant, and a call to one
of them is part of what its free end pays on the edge. Parallel calls add up to one pair. All
amounts stay sums of what the graph gives, with no differences between large numbers: those would
cancel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from offload.call_graph import CallGraph
from offload.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Amounts:
    """Seconds (index 0) and joules (index 1) of many programs with one graph's shape.

    Attributes:
        local, edge: of the methods on either side, shape (2, batch, methods).
        transfer: of the calls whose ends stand apart, shape (2, batch, calls).
    """

    local: FloatArray
    edge: FloatArray
    transfer: FloatArray

    @classmethod
    def of(cls, graph: CallGraph) -> Amounts:
        """The graph's own amounts, a batch of one."""
        methods = np.array([(m.local_s, m.edge_s, m.local_j, m.edge_j) for m in graph.methods])
        calls = np.array([(c.transfer_s, c.transfer_j) for c in graph.calls]).reshape(-1, 2)
        return cls(methods[:, 0::2].T[:, None], methods[:, 1::2].T[:, None], calls.T[:, None])


class FreeAmounts(NamedTuple):
    """What the free components cost beyond nothing, seconds (index 0) and joules (index 1).

    ``base`` (2, batch) is that of the pinned methods, ``local`` and ``edge`` (2, batch, components)
    that of a component on either side, ``cut`` (2, batch, pairs) that of a pair standing apart.
    """

    base: FloatArray
    local: FloatArray
    edge: FloatArray
    cut: FloatArray


class FreeProgram:
    """Which components are free, which of them call each other, and how amounts add up to theirs.

    Attributes:
        size: number of free components.
        pairs: components that call each other, each pair once, shape (pairs, 2).
    """

    def __init__(self, graph: CallGraph) -> None:
        free = ~graph.pinned
        number = np.cumsum(free) - 1
        self.size = int(free.sum())
        self._free_methods = free[graph.components]
        self._component = number[graph.components]
        self._member = np.zeros((len(graph.methods), self.size))
        columns = np.flatnonzero(self._free_methods)
        self._member[columns, self._component[columns]] = 1.0

        ends = graph.components[graph.endpoints]
        calls = len(ends)
        crosses = ends[:, 0] != ends[:, 1]
        to_pinned = np.flatnonzero(crosses & (free[ends].sum(axis=1) == 1))
        self._to_pinned = np.zeros((calls, self.size))
        free_end = np.where(free[ends[:, 0]], ends[:, 0], ends[:, 1])
        self._to_pinned[to_pinned, number[free_end[to_pinned]]] = 1.0
        between = np.flatnonzero(crosses & free[ends].all(axis=1))
        apart = np.sort(number[ends[between]], axis=1)
        self.pairs, pair = np.unique(apart, axis=0, return_inverse=True)
        self._pair = np.zeros((calls, len(self.pairs)))
        self._pair[between, pair.reshape(-1)] = 1.0

    def amounts(self, given: Amounts) -> FreeAmounts:
        """Those of the free components."""
        return FreeAmounts(
            given.local[..., ~self._free_methods].sum(axis=-1),
            given.local @ self._member,
            given.edge @ self._member + given.transfer @ self._to_pinned,
            given.transfer @ self._pair,
        )

    def methods(self, remote: IntArray) -> NDArray[np.int8]:
        """From free components on the edge, shape (batch, size), to methods, (batch, methods)."""
        placed = np.zeros((len(remote), len(self._free_methods)), dtype=np.int8)
        placed[:, self._free_methods] = remote[:, self._component[self._free_methods]]
        return placed

    def forest(self) -> list[tuple[int, int, int]] | None:
        """The pairs as a forest, children before their parents.

        Returns:
            (child, parent, pair) of every component; parent and pair are -1 at a root. None: the
            pairs hold a cycle.
        """
        neighbours: list[list[tuple[int, int]]] = [[] for _ in range(self.size)]
        for pair, (first, second) in enumerate(self.pairs.tolist()):
            neighbours[first].append((second, pair))
            neighbours[second].append((first, pair))
        order: list[tuple[int, int, int]] = []
        seen = [False] * self.size
        for root in range(self.size):
            if seen[root]:
                continue
            seen[root] = True
            open_ones = [(root, -1, -1)]
            while open_ones:
                component, parent, through = open_ones.pop()
                order.append((component, parent, through))
                for other, pair in neighbours[component]:
                    if pair == through:
                        continue
                    if seen[other]:
                        return None
                    seen[other] = True
                    open_ones.append((other, component, pair))
        return order[::-1]
