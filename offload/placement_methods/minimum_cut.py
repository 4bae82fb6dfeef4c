"""The least cost without a bound as a minimum cut, found by a maximum flow.

Device and edge server are source and sink. A component is joined to either by what it costs on the
other side, a pair of components by what standing apart costs; so a cut costs what its placement
does. The flow is Dinic's, on floats: every augmentation empties an arc to exactly 0, so it ends.
(SciPy's maximum flow takes capacities of 32-bit integers only.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offload.types import FloatArray, IntArray


def least_cut(
    local: FloatArray, edge: FloatArray, pairs: IntArray, cut: FloatArray
) -> tuple[NDArray[np.int8], float]:
    """The placement of least cost.

    Args:
        local, edge: weighted cost of each component on either side, shape (components,).
        cut: that of each pair standing apart, shape (pairs,).

    Returns:
        Components on the edge, shape (components,), as few as a least cut has; and the flow's
        value, which no placement can cost less than, up to the rounding of sums.
    """
    size = len(local)
    source, sink = size, size + 1
    flow = _Flow(size + 2)
    for component, (on_device, on_edge) in enumerate(
        zip(local.tolist(), edge.tolist(), strict=True)
    ):
        flow.join(source, component, on_edge, 0.0)
        flow.join(component, sink, on_device, 0.0)
    for (first, second), amount in zip(pairs.tolist(), cut.tolist(), strict=True):
        flow.join(first, second, amount, amount)
    value = flow.fill(source, sink)
    levels = flow.levels_to(sink)
    remote = [level >= 0 for level in levels[:size]]
    return np.array(remote, dtype=np.int8), value


class _Flow:
    """A network of arcs in pairs, 2k and 2k + 1 back, each with what it can still carry."""

    def __init__(self, nodes: int) -> None:
        self.arcs: list[list[int]] = [[] for _ in range(nodes)]
        self.head: list[int] = []
        self.left: list[float] = []

    def join(self, first: int, second: int, there: float, back: float) -> None:
        self.arcs[first].append(len(self.head))
        self.arcs[second].append(len(self.head) + 1)
        self.head += [second, first]
        self.left += [there, back]

    def levels_to(self, sink: int) -> list[int]:
        """Arcs to go from each node to the sink along those that carry more; -1: no way there."""
        level = [-1] * len(self.arcs)
        level[sink] = 0
        queue = [sink]
        for node in queue:
            for arc in self.arcs[node]:
                other = self.head[arc]
                if level[other] < 0 and self.left[arc ^ 1] > 0.0:
                    level[other] = level[node] + 1
                    queue.append(other)
        return level

    def fill(self, source: int, sink: int) -> float:
        """Send all that can be sent; returns how much that is."""
        total = 0.0
        while (level := self.levels_to(sink))[source] >= 0:
            total += self._block(source, sink, level)
        return total

    def _block(self, source: int, sink: int, level: list[int]) -> float:
        """Fill the shortest paths, each depth first, until every one of them has a full arc."""
        tried = [0] * len(self.arcs)
        path: list[int] = []
        node, total = source, 0.0
        while True:
            if node == sink:
                amount = min(self.left[arc] for arc in path)
                total += amount
                for arc in path:
                    self.left[arc] -= amount
                    self.left[arc ^ 1] += amount
                full = next(place for place, arc in enumerate(path) if self.left[arc] <= 0.0)
                node = self.head[path[full] ^ 1]
                del path[full:]
            while tried[node] < len(self.arcs[node]):
                arc = self.arcs[node][tried[node]]
                if self.left[arc] > 0.0 and level[self.head[arc]] == level[node] - 1:
                    break
                tried[node] += 1
            else:
                if not path:
                    return total
                node = self.head[path.pop() ^ 1]
                tried[node] += 1
                continue
            path.append(arc)
            node = self.head[arc]
