"""MAUI's two integer programs, their weighted generalisation, and a fast form for single tasks.

Which methods of a program should run on the edge server, so that the device spends least energy
within a time bound, or the program takes least time within an energy bound? The programs are
those of Cuervo et al., "MAUI: Making Smartphones Last Longer with Code Offload", MobiSys 2010;
docs/models-maui.md writes them out with a worked example.

All functions are pure. The answer is exact: see :mod:`offload.ladder`, which chooses the method.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offload.call_graph import CallGraph
from offload.errors import ConfigError
from offload.ladder import SolvedBy, place_many, solve
from offload.partition_program import BOUND_TOLERANCE, keeps_bound
from offload.placement_methods.free_program import Amounts
from offload.types import FloatArray, Placement

__all__ = [
    "BOUND_TOLERANCE",
    "DEFAULT_TIME_FACTOR",
    "Amounts",
    "Solution",
    "SolvedBy",
    "Status",
    "default_time_bound_s",
    "minimise_energy",
    "minimise_latency",
    "minimise_weighted",
    "place_programs",
    "place_single_tasks",
]

DEFAULT_TIME_FACTOR = 1.05
"""MAUI's own time bound, as a share of the all-local time (Cuervo et al. 2010, section 5)."""


class Status(StrEnum):
    """How a program ended."""

    OPTIMAL = "optimal"
    INFEASIBLE = "infeasible"
    """No allowed placement keeps the bounds."""


@dataclass(frozen=True, slots=True)
class Solution:
    """The answer of one program.

    Attributes:
        placement: where each method runs, by name; empty when infeasible.
        objective: what was minimised: joules, seconds, or the weighted sum; infinity when
            infeasible.
        seconds: time of the placement; infinity when infeasible.
        joules: the device's energy of the placement; infinity when infeasible.
        saved_j: joules saved against all-local. With ``edge_j`` 0 it is what MAUI's energy
            program maximises, sum I_v E_v - sum |I_u - I_v| C_uv; minus infinity when infeasible.
        solved_by: the method that found it; None when a bound below 0 left nothing to find.
    """

    status: Status
    placement: Mapping[str, Placement]
    objective: float
    seconds: float
    joules: float
    saved_j: float
    solved_by: SolvedBy | None = None


_INFEASIBLE = Solution(
    Status.INFEASIBLE, MappingProxyType({}), math.inf, math.inf, math.inf, -math.inf
)


def default_time_bound_s(graph: CallGraph) -> float:
    """MAUI's own L: 1.05 times the time of running everything on the device."""
    return DEFAULT_TIME_FACTOR * graph.all_local().seconds


def minimise_energy(graph: CallGraph, time_bound_s: float = math.inf) -> Solution:
    """Least joules within ``time_bound_s`` (MAUI's energy program; the bound is its L).

    Raises:
        ConfigError: the bound is not a number.
        SolverError: the solver ended with neither an optimum nor a proof of infeasibility.
    """
    return minimise_weighted(graph, 0.0, 1.0, time_bound_s=time_bound_s)


def minimise_latency(graph: CallGraph, energy_bound_j: float = math.inf) -> Solution:
    """Least seconds within ``energy_bound_j`` (MAUI's latency program; the bound is its Q).

    Raises:
        ConfigError: the bound is not a number.
        SolverError: the solver ended with neither an optimum nor a proof of infeasibility.
    """
    return minimise_weighted(graph, 1.0, 0.0, energy_bound_j=energy_bound_j)


def minimise_weighted(
    graph: CallGraph,
    time_weight: float,
    energy_weight: float,
    time_bound_s: float = math.inf,
    energy_bound_j: float = math.inf,
    *,
    by: SolvedBy | None = None,
) -> Solution:
    """Least ``time_weight * seconds + energy_weight * joules`` within both bounds.

    Args:
        time_weight: per second, finite and not negative.
        energy_weight: per joule, finite and not negative; not both weights zero.
        time_bound_s: infinity for none. A bound below zero is infeasible, not an error.
        energy_bound_j: infinity for none.
        by: a method of :mod:`offload.ladder` to use; None: the quickest that fits.

    Raises:
        ConfigError: a weight or a bound that cannot be, or a method that does not fit.
        SolverError: the solver ended with neither an optimum nor a proof of infeasibility.
    """
    _require_weights(time_weight, energy_weight)
    for name, bound in (("time_bound_s", time_bound_s), ("energy_bound_j", energy_bound_j)):
        if math.isnan(bound):
            raise ConfigError(f"{name} is nan; give a number, or infinity for no bound")
    weights = np.array([time_weight, energy_weight], dtype=np.float64)
    bounds = np.array([time_bound_s, energy_bound_j], dtype=np.float64)
    if not np.all(bounds >= 0):
        return _INFEASIBLE
    remote, solved_by = solve(graph, weights, bounds, by)
    if remote is None:
        return replace(_INFEASIBLE, solved_by=solved_by)
    names = (method.name for method in graph.methods)
    placement = {
        name: Placement.EDGE if on_edge else Placement.LOCAL
        for name, on_edge in zip(names, remote, strict=True)
    }
    seconds, joules = graph.evaluate(placement)
    return Solution(
        Status.OPTIMAL,
        MappingProxyType(placement),
        time_weight * seconds + energy_weight * joules,
        seconds,
        joules,
        graph.all_local().joules - joules,
        solved_by,
    )


def place_programs(
    graph: CallGraph,
    amounts: Amounts,
    time_weight: ArrayLike,
    energy_weight: ArrayLike,
    time_bound_s: ArrayLike = math.inf,
    energy_bound_j: ArrayLike = math.inf,
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """:func:`minimise_weighted` for many programs that have the shape of one graph.

    As when one program is to be placed again and again while the link changes. The methods of the
    ladder that work on many at once do it: a closed form, dynamic programming on a forest without
    bounds, or every placement of few components.

    Args:
        graph: names, calls, groups and what is pinned; its own amounts are not used.
        amounts: those of the programs.
        time_weight, energy_weight, time_bound_s, energy_bound_j: numbers or shape (programs,).

    Returns:
        Methods on the edge, shape (programs, methods), local where several are best; and whether
        any placement keeps the bounds, shape (programs,). Where none does, all is local.

    Raises:
        ConfigError: a weight, amount or bound that cannot be, or a graph that no such method fits.
    """
    _require_weights(time_weight, energy_weight)
    given = (amounts.local, amounts.edge, amounts.transfer)
    if not all(np.all(np.isfinite(part) & (part >= 0)) for part in given):
        raise ConfigError("an amount is negative or not finite; give seconds and joules from 0 up")
    programs = amounts.local.shape[1]
    wanted = [(2, programs, len(graph.methods))] * 2 + [(2, programs, len(graph.calls))]
    if [part.shape for part in given] != wanted:
        shapes = [part.shape for part in given]
        raise ConfigError(f"amounts have the shapes {shapes}; the graph's are {wanted}")
    weights, bounds = (
        np.array([np.broadcast_to(np.asarray(part, dtype=float), programs) for part in pair])
        for pair in ((time_weight, energy_weight), (time_bound_s, energy_bound_j))
    )
    if np.isnan(bounds).any():
        raise ConfigError("a bound is nan; give a number, or infinity for no bound")
    return place_many(graph, amounts, weights, bounds)


def place_single_tasks(
    local_s: ArrayLike,
    edge_s: ArrayLike,
    local_j: ArrayLike,
    edge_j: ArrayLike,
    time_weight: ArrayLike,
    energy_weight: ArrayLike,
    time_bound_s: ArrayLike = math.inf,
) -> NDArray[np.int8]:
    """The optimum of :func:`minimise_weighted` for many single tasks at once.

    A single task has two placements, so the integer program is one comparison. Ties go local.
    Where neither side keeps the bound, the one that misses it by less is chosen: the task has to
    run somewhere, and a late answer is worth more the less late it is.

    Args:
        local_s, local_j: the task on the device. All arguments broadcast together.
        edge_s, edge_j: the task on the edge server with its transfers, up and down. Infinite
            where the edge cannot be reached.
        time_weight, energy_weight: per second and per joule, not negative.
        time_bound_s: the deadline; infinity for none.

    Returns:
        0 (local) or 1 (edge), int8, of the broadcast shape.

    Raises:
        ConfigError: a negative or non-finite weight, or a cost or bound that is not a number.
    """
    _require_weights(time_weight, energy_weight)
    local_s, edge_s = np.asarray(local_s, dtype=float), np.asarray(edge_s, dtype=float)
    time, energy = np.asarray(time_weight, dtype=float), np.asarray(energy_weight, dtype=float)
    local_cost = _weighted(local_s, local_j, time, energy, "local")
    edge_cost = _weighted(edge_s, edge_j, time, energy, "edge")
    cheaper = np.asarray(edge_cost < local_cost)
    bound = np.asarray(time_bound_s, dtype=float)
    if np.isnan(bound).any():
        raise ConfigError("time_bound_s holds nan; give a number, or infinity for no bound")
    if bound.ndim == 0 and np.isposinf(bound):
        return cheaper.astype(np.int8)
    edge_in_time = keeps_bound(edge_s, bound)
    local_in_time = keeps_bound(local_s, bound)
    both_or_neither = edge_in_time == local_in_time
    best = np.where(edge_in_time, cheaper, edge_s < local_s)
    return np.where(both_or_neither, best, edge_in_time).astype(np.int8)


def _require_weights(time_weight: ArrayLike, energy_weight: ArrayLike) -> None:
    time, energy = np.asarray(time_weight, dtype=float), np.asarray(energy_weight, dtype=float)
    for name, weight in (("time_weight", time), ("energy_weight", energy)):
        if not np.all(np.isfinite(weight) & (weight >= 0)):
            raise ConfigError(f"{name} must be finite and not negative; it is {weight}")
    if np.any((time == 0) & (energy == 0)):
        raise ConfigError("time_weight and energy_weight are both 0: nothing is left to minimise")


def _weighted(
    seconds: FloatArray,
    joules: ArrayLike,
    time_weight: FloatArray,
    energy_weight: FloatArray,
    where: str,
) -> FloatArray:
    """The weighted cost; a side that takes infinite time or energy costs infinity at any weight."""
    joules = np.asarray(joules, dtype=float)
    with np.errstate(invalid="ignore"):  # 0 * inf
        cost = np.asarray(time_weight * seconds + energy_weight * joules)
    undefined = np.isnan(cost)
    if undefined.any():
        for unit, amount in (("s", seconds), ("j", joules)):
            if np.isnan(amount).any():
                raise ConfigError(f"{where}_{unit} holds nan; give a number, or infinity")
        cost = np.where(undefined, np.inf, cost)
    return cost
