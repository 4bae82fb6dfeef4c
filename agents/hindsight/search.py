"""The optimum in hindsight: a plan, and a bound that no plan can beat.

Two searches over labels, forwards in time. The first keeps of each cell of states the cheapest
plan, so what it finds can be done: it bounds the optimum above. The second merges boxes, so what it
finds no plan can beat: it bounds the optimum below. Both drop a label whose cost and least cost to
go reach that of the best plan known. Where the two meet, the plan is optimal. Lanes where they do
not are searched again with more labels, up to a limit, and keep a gap that is reported.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.hindsight.future import costs_to_go
from agents.hindsight.labels import Labels, children, start
from agents.hindsight.problem import Problem, pose
from agents.hindsight.thinning import thin, worths
from envs.config import EnvConfig
from envs.dynamics import OffloadDynamics
from envs.scenario import Scenario
from offload.errors import SolverError
from offload.types import FloatArray, IntArray

LABELS = (64, 512)
"""Most labels a lane, in one search after the other."""
TOLERANCE = 1e-9
"""Costs of an episode that differ by less are equal; sums of floats differ by less."""
_LANES_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Hindsight:
    """What an episode costs at least, its future known; costs are means over its tasks.

    Attributes:
        placement: the best plan found, 0 local or 1 edge, shape (steps, lanes).
        upper: what that plan costs, shape (lanes,).
        lower: no plan costs less, shape (lanes,).
    """

    placement: IntArray
    upper: FloatArray
    lower: FloatArray

    @property
    def gap(self) -> FloatArray:
        """How far the plan may be from the optimum, shape (lanes,)."""
        return self.upper - self.lower

    @property
    def solved(self) -> float:
        """Share of lanes whose plan is proven optimal."""
        return float((self.gap <= TOLERANCE).mean())


def solve(
    scenario: Scenario,
    config: EnvConfig,
    known: IntArray,
    labels: tuple[int, ...] = LABELS,
) -> Hindsight:
    """Find the least cost of every lane of a scenario.

    Args:
        known: a plan to start from, shape (steps, lanes): the better, the quicker.
        labels: most labels a lane, of one search after the other.

    Raises:
        SolverError: the search's costs are not the environment's; its bound would be worth nothing.
    """
    problem = pose(scenario, config)
    blocks = [
        _solve_block(problem.of(lanes), known[:, lanes], labels)
        for lanes in np.array_split(np.arange(scenario.lanes), -(-scenario.lanes // _LANES_AT_ONCE))
    ]
    placement = np.concatenate([block[0] for block in blocks], axis=1)
    upper, lower = (np.concatenate([block[i] for block in blocks]) for i in (1, 2))
    paid = play(placement, scenario, config)
    if not np.allclose(paid, upper, rtol=1e-7, atol=1e-9):
        worst = int(np.argmax(np.abs(paid - upper)))
        raise SolverError(
            f"hindsight: the plan of lane {worst} costs {paid[worst]:.9g} in the environment and "
            f"{upper[worst]:.9g} in the search; agents/hindsight must follow envs/dynamics.py"
        )
    return Hindsight(placement, paid / scenario.steps, np.minimum(lower, paid) / scenario.steps)


def play(placement: IntArray, scenario: Scenario, config: EnvConfig) -> FloatArray:
    """What plans cost in the environment itself, shape (lanes,)."""
    dynamics = OffloadDynamics(scenario, config)
    total = np.zeros(scenario.lanes)
    for decided in placement:
        total += dynamics.step(decided).cost
    return total


def _solve_block(
    problem: Problem, known: IntArray, sizes: tuple[int, ...]
) -> tuple[IntArray, FloatArray, FloatArray]:
    to_go = costs_to_go(problem)
    placement = known.astype(np.int8)
    upper = _cost_of(problem, known)
    lower = to_go[0, :, 0].copy()
    for size in sizes:
        open_lanes = np.flatnonzero(upper - lower > TOLERANCE)
        if len(open_lanes) == 0:
            break
        part = _Search(problem.of(open_lanes), to_go[:, open_lanes], size)
        found, plans = part.best_plans(upper[open_lanes])
        better = found < upper[open_lanes]
        upper[open_lanes[better]] = found[better]
        placement[:, open_lanes[better]] = plans[:, better]
        bound = part.bound(upper[open_lanes])
        lower[open_lanes] = np.maximum(lower[open_lanes], bound)
    return placement, upper, lower


def _cost_of(problem: Problem, placement: IntArray) -> FloatArray:
    """What plans cost, by the search's own labels."""
    labels = start(problem, points=True)
    for index in range(len(problem.steps)):
        labels = children(problem, labels, index)
        labels = labels.take(labels.placement == placement[index][labels.lane])
    cost = np.empty(problem.lanes)
    cost[labels.lane] = labels.cost
    return cost


class _Search:
    """Both searches over one block of lanes.

    Args:
        to_go: from :func:`costs_to_go`.
        most: labels a lane.
    """

    def __init__(self, problem: Problem, to_go: FloatArray, most: int) -> None:
        self.problem, self.to_go, self.most = problem, to_go, most
        self.worths = worths(problem)

    def best_plans(self, upper: FloatArray) -> tuple[FloatArray, IntArray]:
        """Costs (infinite: none below ``upper`` found) and plans, shape (steps, lanes)."""
        labels = start(self.problem, points=True)
        trail = []
        for index in range(len(self.problem.steps)):
            labels = self._step(labels, index, upper)
            trail.append(labels)
        order = np.lexsort((labels.cost, labels.lane))
        lanes, first = np.unique(labels.lane[order], return_index=True)
        best: IntArray = order[first]
        cost = np.full(self.problem.lanes, np.inf)
        cost[lanes] = labels.cost[best]
        plans = np.zeros((len(trail), self.problem.lanes), dtype=np.int8)
        for index in range(len(trail) - 1, -1, -1):
            plans[index, lanes] = trail[index].placement[best]
            best = trail[index].parent[best]
        return cost, plans

    def bound(self, upper: FloatArray) -> FloatArray:
        """A cost that no plan can beat, at most ``upper``, shape (lanes,)."""
        labels = start(self.problem, points=False)
        for index in range(len(self.problem.steps)):
            labels = self._step(labels, index, upper)
        # A plan that was dropped on the way costs no less than upper, but for the tolerance.
        least = upper - TOLERANCE / 2
        np.minimum.at(least, labels.lane, labels.cost)
        return least

    def _step(self, labels: Labels, index: int, upper: FloatArray) -> Labels:
        labels = children(self.problem, labels, index)
        least = labels.cost + self.to_go[index + 1, labels.lane, labels.tail_rank]
        labels = labels.take(least < upper[labels.lane] - TOLERANCE / 2)
        return thin(labels, self.most, self.problem.lanes, self.worths[index])
