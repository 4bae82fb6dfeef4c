"""Dynamic programming on a forest of calls with one bound: each subtree keeps all good bargains.

A label of a subtree is what a placement of it costs and what it takes of the bounded amount. A
label that costs no less and takes no less than another one can be left out, and so can one that
leaves too little for the rest, however that is placed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offload.types import FloatArray

MOST_LABELS = 20_000
"""Of one subtree on one side. Beyond it the integer program is the better way."""


class _Labels:
    """Labels of one subtree and side: cost, taken, and the components on the edge, (n, size)."""

    __slots__ = ("cost", "remote", "taken")

    def __init__(self, cost: FloatArray, taken: FloatArray, remote: NDArray[np.bool_]) -> None:
        self.cost, self.taken, self.remote = cost, taken, remote

    def best(self, at_most: float) -> _Labels:
        """Those that take no more than that and that no other is as good as, least cost first."""
        order = np.lexsort((self.taken, self.cost))
        taken = self.taken[order]
        before = np.concatenate([[np.inf], np.minimum.accumulate(taken)[:-1]])
        kept = order[(taken < before) & (taken <= at_most)]
        return _Labels(self.cost[kept], self.taken[kept], self.remote[kept])

    def or_else(self, other: _Labels, cost: float, taken: float) -> _Labels:
        """These, and the other ones with an amount on top."""
        return _Labels(
            np.concatenate([self.cost, other.cost + cost]),
            np.concatenate([self.taken, other.taken + taken]),
            np.concatenate([self.remote, other.remote]),
        )

    def with_each(self, other: _Labels) -> _Labels:
        """Each of these together with each of the others, of another subtree."""
        first, second = len(self.cost), len(other.cost)
        size = self.remote.shape[1]
        remote = (self.remote[:, None] | other.remote[None]).reshape(first * second, size)
        return _Labels(
            np.add.outer(self.cost, other.cost).ravel(),
            np.add.outer(self.taken, other.taken).ravel(),
            remote,
        )


def bargains_on_forest(
    forest: Sequence[tuple[int, int, int]],
    cost: tuple[FloatArray, FloatArray, FloatArray],
    taken: tuple[FloatArray, FloatArray, FloatArray],
    at_most: float,
) -> NDArray[np.bool_] | None:
    """The placements that no other beats in both, within the bound, least cost first.

    Args:
        forest: see :meth:`FreeProgram.forest`.
        cost, taken: what is minimised, and what is bounded: of the components locally and on the
            edge, shape (components,), and of the pairs standing apart, shape (pairs,).
        at_most: the bound on the sum of ``taken``.

    Returns:
        Components on the edge, shape (bargains, components); None: more than MOST_LABELS labels.
    """
    size = len(cost[0])
    # However the components outside a subtree are placed, they take at least this.
    least = np.minimum(taken[0], taken[1])
    outside = at_most - float(least.sum())
    own = np.eye(size, dtype=bool)[:, None]
    labels = [
        (
            _Labels(cost[0][[one]], taken[0][[one]], own[one] & False),
            _Labels(cost[1][[one]], taken[1][[one]], own[one]),
        )
        for one in range(size)
    ]
    inside = least.copy()
    whole: _Labels | None = _Labels(np.zeros(1), np.zeros(1), np.zeros((1, size), dtype=bool))
    least_whole = 0.0
    for child, parent, pair in forest:
        local, edge = labels[child]
        if parent < 0:
            least_whole += inside[child]
            whole = _joined(whole, local.or_else(edge, 0.0, 0.0), outside + least_whole)
            continue
        added, takes = float(cost[2][pair]), float(taken[2][pair])
        inside[parent] += inside[child]
        room = outside + float(inside[parent])
        upper_local, upper_edge = labels[parent]
        new_local = _joined(upper_local, local.or_else(edge, added, takes), room)
        new_edge = _joined(upper_edge, edge.or_else(local, added, takes), room)
        if new_local is None or new_edge is None:
            return None
        labels[parent] = (new_local, new_edge)
    return None if whole is None else whole.remote


def _joined(first: _Labels | None, second: _Labels, at_most: float) -> _Labels | None:
    """The best of each with each; None: too many."""
    if first is None:
        return None
    second = second.best(at_most)
    if len(first.cost) * len(second.cost) > MOST_LABELS:
        return None
    return first.with_each(second).best(at_most)
