"""Every placement of a few components, costed by matrix products; with bounds, for any graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offload.partition_program import keeps_bound
from offload.placement_methods.free_program import FreeAmounts, FreeProgram
from offload.types import FloatArray

MOST_COMPONENTS = 8
"""256 placements; each component more doubles the time."""


def cheapest_of_all(
    program: FreeProgram, amounts: FreeAmounts, weights: FloatArray, bounds: FloatArray
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """The best of all placements within both bounds.

    Args:
        weights, bounds: of seconds and joules, shape (2, batch).

    Returns:
        Components on the edge, shape (batch, size), local where several are best; and whether any
        placement keeps the bounds, shape (batch,).
    """
    placements = (np.arange(2**program.size)[:, None] >> np.arange(program.size)) & 1
    ends = placements[:, program.pairs]
    apart = ends[..., 0] != ends[..., 1]
    chosen = np.hstack([1 - placements, placements, apart]).T.astype(np.float64)
    terms = np.concatenate([amounts.local, amounts.edge, amounts.cut], axis=-1)
    costs = terms @ chosen + amounts.base[..., None]
    kept = np.all(keeps_bound(costs, bounds[..., None]), axis=0)
    objective = np.where(kept, (weights[..., None] * costs).sum(axis=0), np.inf)
    best = objective.argmin(axis=1)
    return placements[best].astype(np.int8), np.asarray(kept.any(axis=1))
