"""Dynamic programming on a forest of calls, without a bound: one visit a method."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offload.placement_methods.free_program import FreeAmounts
from offload.types import FloatArray

_BLOCK = 1024
"""Programs at once: what lies between two visits stays in the CPU's cache."""


def cheapest_on_forest(
    forest: Sequence[tuple[int, int, int]], amounts: FreeAmounts, weights: FloatArray
) -> NDArray[np.int8]:
    """The placement of least cost.

    Going up, each component learns what its subtree costs at best with it on either side; going
    down, each is placed, knowing where its parent stands.

    Args:
        forest: see :meth:`FreeProgram.forest`.
        weights: of seconds and joules, shape (2, batch).

    Returns:
        Components on the edge, shape (batch, components); local where both cost the same.
    """
    weight = weights[..., None]
    local, edge, cut = (
        np.ascontiguousarray((weight * part).sum(axis=0).T)
        for part in (amounts.local, amounts.edge, amounts.cut)
    )
    placed = np.empty(local.shape, dtype=np.int8)
    for start in range(0, local.shape[1], _BLOCK):
        block = slice(start, start + _BLOCK)
        _place(forest, local[:, block], edge[:, block], cut[:, block], placed[:, block])
    return placed.T


def _place(
    forest: Sequence[tuple[int, int, int]],
    local: FloatArray,
    edge: FloatArray,
    cut: FloatArray,
    placed: NDArray[np.int8],
) -> None:
    under_local = np.zeros(local.shape, dtype=bool)
    under_edge = np.zeros(local.shape, dtype=bool)
    for child, parent, pair in forest:
        if parent < 0:
            np.less(edge[child], local[child], out=under_local[child])
            continue
        leaves, returns = edge[child] + cut[pair], local[child] + cut[pair]
        np.less(leaves, local[child], out=under_local[child])
        np.less(edge[child], returns, out=under_edge[child])
        local[parent] += np.minimum(local[child], leaves)
        edge[parent] += np.minimum(edge[child], returns)
    for child, parent, _ in reversed(forest):
        if parent < 0:
            placed[child] = under_local[child]
        else:
            placed[child] = np.where(placed[parent], under_edge[child], under_local[child])
