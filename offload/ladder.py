"""The ladder of exact methods: each program goes to the first that fits it.

| method | for which programs |
| --- | --- |
| closed form | at most one free component: two sums and a comparison |
| every placement | at most 8 free components, with or without bounds |
| tree | no bound, and calls that form a forest |
| minimum cut | no bound |
| Pareto tree | one bound, and calls that form a forest |
| integer program | all others, and what a method above could not finish |

"Free" are components of colocated methods that may run remotely. No method's arithmetic is taken on
trust: :mod:`offload.maui` sums each answer up again from the graph.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from offload.call_graph import CallGraph
from offload.errors import ConfigError
from offload.partition_program import PartitionProgram, keeps_bound
from offload.placement_methods.every_placement import MOST_COMPONENTS, cheapest_of_all
from offload.placement_methods.free_program import Amounts, FreeAmounts, FreeProgram
from offload.placement_methods.minimum_cut import least_cut
from offload.placement_methods.pareto_tree import bargains_on_forest
from offload.placement_methods.tree import cheapest_on_forest
from offload.types import FloatArray

_SLACK = 1e-9
"""By this share of the bound too much is kept before the answer is summed up exactly."""
_GAP = 1e-12
"""A cut's cost may exceed the flow by this share: the rounding of sums."""


class SolvedBy(StrEnum):
    """The method that gave an answer."""

    CLOSED_FORM = "closed form"
    TREE = "tree"
    EVERY_PLACEMENT = "every placement"
    MINIMUM_CUT = "minimum cut"
    PARETO_TREE = "pareto tree"
    INTEGER_PROGRAM = "integer program"


def solve(
    graph: CallGraph,
    weights: FloatArray,
    bounds: FloatArray,
    by: SolvedBy | None = None,
) -> tuple[NDArray[np.bool_] | None, SolvedBy]:
    """The placement of least ``weights . (seconds, joules)`` within two bounds.

    Args:
        weights: of seconds and joules, shape (2,), not negative.
        bounds: on seconds and joules, shape (2,); infinity where there is none.
        by: a method to use; None: the first of the ladder that fits.

    Returns:
        Methods on the edge, shape (methods,), or None when no placement keeps the bounds; and the
        method that found it. A Pareto tree that grows too large, or an answer that rounding has
        left open, goes to the integer program, and that is then the one named.

    Raises:
        ConfigError: ``by`` does not fit the program.
        SolverError: the integer program failed, see :class:`PartitionProgram`.
    """
    program = FreeProgram(graph)
    fitting = _fitting(program, bounds)
    if by is not None and by not in fitting:
        names = ", ".join(fitting)
        raise ConfigError(f"{by} does not fit this program; what does: {names}")
    chosen = fitting[0] if by is None else by
    if chosen is not SolvedBy.INTEGER_PROGRAM:
        given = Amounts.of(graph)
        finished, remote = _quick(graph, program, program.amounts(given), weights, bounds, chosen)
        if finished:
            return remote, chosen
    return PartitionProgram(graph, weights, bounds).solve(), SolvedBy.INTEGER_PROGRAM


def place_many(
    graph: CallGraph, amounts: Amounts, weights: FloatArray, bounds: FloatArray
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """:func:`solve` for many programs of one shape at once.

    Args:
        weights, bounds: shape (2, programs).

    Returns:
        Methods on the edge, shape (programs, methods), and whether any placement keeps the bounds.

    Raises:
        ConfigError: more than 8 free components, and a bound or a cycle of calls.
    """
    program = FreeProgram(graph)
    forest = None if np.isfinite(bounds).any() else program.forest()
    free = program.amounts(amounts)
    if forest is not None and program.size > 1:
        remote = cheapest_on_forest(forest, free, weights)
        return program.methods(remote), np.ones(len(remote), dtype=bool)
    if program.size > MOST_COMPONENTS:
        raise ConfigError(
            f"{program.size} free components with a bound or a cycle of calls cannot be placed "
            f"many at once, at most {MOST_COMPONENTS} can; use minimise_weighted for each"
        )
    remote, feasible = cheapest_of_all(program, free, weights, bounds)
    return program.methods(remote * feasible[:, None]), feasible


def _fitting(program: FreeProgram, bounds: FloatArray) -> list[SolvedBy]:
    """The methods that are exact for a program, quickest first."""
    bounded = int(np.isfinite(bounds).sum())
    forest = bounded < 2 and program.forest() is not None
    fits = {
        SolvedBy.CLOSED_FORM: program.size <= 1,
        SolvedBy.EVERY_PLACEMENT: program.size <= MOST_COMPONENTS,
        SolvedBy.TREE: bounded == 0 and forest,
        SolvedBy.MINIMUM_CUT: bounded == 0,
        SolvedBy.PARETO_TREE: bounded == 1 and forest,
        SolvedBy.INTEGER_PROGRAM: True,
    }
    return [method for method, does in fits.items() if does]


def _quick(
    graph: CallGraph,
    program: FreeProgram,
    amounts: FreeAmounts,
    weights: FloatArray,
    bounds: FloatArray,
    by: SolvedBy,
) -> tuple[bool, NDArray[np.bool_] | None]:
    """Whether a method other than the integer program came to an answer, and the answer."""
    if by in (SolvedBy.CLOSED_FORM, SolvedBy.EVERY_PLACEMENT):
        remote, feasible = cheapest_of_all(program, amounts, weights[:, None], bounds[:, None])
        return True, program.methods(remote)[0].astype(bool) if feasible[0] else None
    forest = program.forest()
    if by is SolvedBy.TREE and forest is not None:
        remote = cheapest_on_forest(forest, amounts, weights[:, None])
        return True, program.methods(remote)[0].astype(bool)
    local, edge, cut = (part[:, 0] for part in (amounts.local, amounts.edge, amounts.cut))
    cost = (weights @ local, weights @ edge, weights @ cut)
    if by is SolvedBy.MINIMUM_CUT:
        placed, flow = least_cut(cost[0], cost[1], program.pairs, cost[2])
        apart = placed[program.pairs[:, 0]] != placed[program.pairs[:, 1]]
        value = np.where(placed == 1, cost[1], cost[0]).sum() + cost[2][apart].sum()
        proven = value <= flow + _GAP * max(value, float(weights @ amounts.base[:, 0]))
        return bool(proven), program.methods(placed[None])[0].astype(bool)
    bounded = int(np.isfinite(bounds).argmax())
    at_most = bounds[bounded] * (1.0 + _SLACK) - amounts.base[bounded, 0]
    taken = (local[bounded], edge[bounded], cut[bounded])
    bargains = bargains_on_forest(forest or [], cost, taken, float(at_most))
    if bargains is None:
        return False, None
    if len(bargains) == 0:
        return True, None
    placements = program.methods(bargains.astype(np.int8)).astype(bool)
    costs = np.array(graph.costs(placements))
    kept = keeps_bound(costs[bounded], bounds[bounded])
    if not kept.any():
        return False, None  # only within the slack: let the integer program say
    return True, placements[np.where(kept, weights @ costs, np.inf).argmin()]
