"""The weighted 0/1 partition of a call graph as an integer program, solved exactly with HiGHS.

HiGHS works to absolute tolerances of about 1e-6. That is coarse where microseconds and hours meet
in one row, so its answers are never taken on trust here: every placement is costed again by
:meth:`CallGraph.costs` and held against the bounds, and where HiGHS was too coarse the program is
split on the method that weighs most. With that method decided its numbers leave the rows, the rows
are scaled anew, and HiGHS is asked again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import LinearConstraint, milp

from offload.call_graph import CallGraph
from offload.errors import SolverError
from offload.types import FloatArray, IntArray

BOUND_TOLERANCE = 1e-12
"""A placement keeps a bound that it exceeds by no more than this share: the rounding of a sum."""

_COST_SCALE = 1e6  # HiGHS stops at an absolute gap of 1e-6, so at 1e-12 of the largest cost
_SMALLEST_ENTRY = 1e-7  # beside a largest entry of 1
_MAX_PROGRAMS = 10_000
_OPTIMAL, _INFEASIBLE = 0, 2  # status of scipy.optimize.milp
_FREE = -1


def keeps_bound(amount: FloatArray, bound: FloatArray | float) -> NDArray[np.bool_]:
    """Whether ``amount`` is within ``bound``, up to :data:`BOUND_TOLERANCE` of the bound."""
    return np.asarray(amount <= _loosened(bound))


def _loosened(bound: FloatArray | float) -> FloatArray:
    bound = np.asarray(bound, dtype=np.float64)
    return np.where(np.isfinite(bound), bound + BOUND_TOLERANCE * np.abs(bound), bound)


class _Terms(NamedTuple):
    """Seconds (row 0) and joules (row 1) beyond a constant: slope . x + cut . |x_u - x_v|."""

    slope: FloatArray
    cut: FloatArray
    pairs: IntArray

    def decided(self, side: IntArray) -> _Terms:
        """The same over the free components alone, beyond their cost with all free ones local.

        Args:
            side: 0 or 1 where a component is decided, -1 where it is free.
        """
        free = side == _FREE
        start = np.where(free, 0, side)
        first, second = self.pairs.T
        # Beside a decided side a, |a - x| = a + (1 - 2a) x: linear, and the a is constant.
        half_free = free[first] != free[second]
        loose = np.where(free[first], first, second)[half_free]
        decided_side = (start[first] + start[second])[half_free]
        slope = self.slope.copy()
        np.add.at(slope.T, loose, (self.cut[:, half_free] * (1 - 2 * decided_side)).T)
        both_free = free[first] & free[second]
        renumbered = np.cumsum(free) - 1
        return _Terms(
            slope[:, free],
            self.cut[:, both_free],
            renumbered[self.pairs[both_free]],
        )


class PartitionProgram:
    """Least ``weights . (seconds, joules)`` over the placements of a graph within two bounds.

    The variables are one 0/1 number a colocated component (that is the seed's condition on groups,
    I_i = I_j), and one continuous number a pair of components that call each other, y >= I_u - I_v
    and y >= I_v - I_u, which is |I_u - I_v| at the optimum since nothing is gained by a larger y.

    Args:
        weights: of seconds and joules, shape (2,), not negative.
        bounds: on seconds and joules, shape (2,); infinity where there is none.
    """

    def __init__(self, graph: CallGraph, weights: FloatArray, bounds: FloatArray) -> None:
        self._graph = graph
        self._weights = weights
        self._bounds = bounds
        change = np.array([(m.edge_s - m.local_s, m.edge_j - m.local_j) for m in graph.methods])
        slope = np.zeros((len(graph.pinned), 2))
        np.add.at(slope, graph.components, change)
        pairs = graph.components[graph.endpoints]
        apart = pairs[:, 0] != pairs[:, 1]  # a call within a component never crosses
        cut = np.array([(c.transfer_s, c.transfer_j) for c in graph.calls]).reshape(-1, 2).T
        self._terms = _Terms(slope.T, cut[:, apart], pairs[apart])

    def solve(self) -> NDArray[np.bool_] | None:
        """The best placement, shape (methods,), True on the edge; None when none keeps the bounds.

        Raises:
            SolverError: HiGHS failed, or the numbers lie too close to the bound to be told apart.
        """
        best: NDArray[np.bool_] | None = None
        best_objective = np.inf
        open_programs = [np.where(self._graph.pinned, 0, _FREE)]
        for _ in range(_MAX_PROGRAMS):
            if not open_programs:
                return best
            side = open_programs.pop()
            terms = self._terms.decided(side)
            # From the plain sums, not from differences of large numbers: those would cancel.
            constant = self._cost(np.maximum(side, 0))
            answer = self._ask_highs(terms, constant)
            if answer is None:
                continue
            answered, least_objective = answer
            if least_objective >= best_objective:
                continue
            full = side.copy()
            full[side == _FREE] = answered
            cost = self._cost(full)
            if np.all(keeps_bound(cost, self._bounds)):
                if self._weights @ cost < best_objective:
                    best, best_objective = self._remote(full), float(self._weights @ cost)
            elif answered.size:
                open_programs += _split(side, self._heaviest(terms))
        raise SolverError(
            f"gave up after {_MAX_PROGRAMS} integer programs: too many placements lie too close "
            "to the bound for HiGHS to tell apart; loosen or tighten the bound a little"
        )

    def _remote(self, side: IntArray) -> NDArray[np.bool_]:
        return np.asarray(side[self._graph.components] == 1)

    def _cost(self, side: IntArray) -> FloatArray:
        return np.array(self._graph.costs(self._remote(side)))

    def _heaviest(self, terms: _Terms) -> int:
        """The free component (counted among the free) with the largest share of a bounded row."""
        weight = np.abs(terms.slope)
        for column in (0, 1):
            np.add.at(weight.T, terms.pairs[:, column], terms.cut.T)
        weight[~np.isfinite(self._bounds)] = 0.0
        largest = weight.max(axis=1, keepdims=True)
        return int(np.argmax((weight / np.where(largest > 0, largest, 1.0)).max(axis=0)))

    def _ask_highs(self, terms: _Terms, constant: FloatArray) -> tuple[IntArray, float] | None:
        """One integer program: sides of the free components and a lower bound on the objective."""
        free, pairs = terms.slope.shape[1], len(terms.pairs)
        rows = np.hstack([terms.slope, terms.cut])
        if free == 0:
            return np.zeros(0, dtype=np.int8), float(self._weights @ constant)
        constraints = [*_absolute_differences(free, terms.pairs)]
        for row, bound in zip(rows, _loosened(self._bounds) - constant, strict=True):
            if np.isfinite(bound) and row.any():
                constraints.append(_bounded(row, bound))
        costs = self._weights @ rows
        scale = float(np.abs(costs).max()) / _COST_SCALE or 1.0
        result = milp(
            costs / scale,
            integrality=np.repeat([1, 0], [free, pairs]),
            bounds=(0, 1),
            constraints=constraints,
            options={"mip_rel_gap": 0.0},
        )
        if result.status == _INFEASIBLE:
            return None
        if result.status != _OPTIMAL or result.x is None:
            raise SolverError(f"HiGHS stopped with status {result.status}: {result.message}")
        answered = np.rint(result.x[:free]).astype(np.int8)
        return answered, float(self._weights @ constant) + float(result.mip_dual_bound) * scale


def _split(side: IntArray, heaviest: int) -> list[IntArray]:
    """The two programs in which the free component ``heaviest`` is local, and on the edge."""
    children = []
    for value in (0, 1):
        child = side.copy()
        child[np.flatnonzero(side == _FREE)[heaviest]] = value
        children.append(child)
    return children


def _bounded(row: FloatArray, bound: float) -> LinearConstraint:
    """``row . (x, y) <= bound``, scaled to a largest number of 1.

    HiGHS drops matrix entries below 1e-9 and would cut off good placements with them. So small
    entries are dropped here, to the safe side: the bound is loosened by all they could save.
    """
    scale = np.abs(row).max()
    scaled = row / scale
    small = np.abs(scaled) < _SMALLEST_ENTRY
    slack = -scaled[small & (scaled < 0)].sum()
    return LinearConstraint(np.where(small, 0.0, scaled)[None, :], ub=bound / scale + slack)


def _absolute_differences(free: int, pairs: IntArray) -> list[LinearConstraint]:
    """y_p >= x_u - x_v and y_p >= x_v - x_u over the variables (x, y), one row each."""
    if not len(pairs):
        return []
    row = np.arange(len(pairs))
    ones = np.ones(len(pairs))
    difference = sparse.coo_array(
        (np.hstack([ones, -ones]), (np.hstack([row, row]), np.hstack([pairs[:, 0], pairs[:, 1]]))),
        shape=(len(pairs), free),
    )
    y = sparse.eye_array(len(pairs))
    both = sparse.vstack([sparse.hstack([difference, -y]), sparse.hstack([-difference, -y])])
    return [LinearConstraint(both.tocsc(), ub=0)]
