"""Partial plans of many episodes at once: what each has cost, and the states it may be in.

A label holds a box: bounds below and above of everything that couples decisions. The box of one
plan is a point. Where labels are merged, the box covers them all and the cost is their least; what
is then computed from it is a bound that no plan among them can beat:

- Waiting on the device and the energy of the radio are least at the box's corner of the shortest
  queue and the longest tail, and the price of either is linear in the charge, so least at one of
  its two ends.
- Which of its two outcomes a remote run has, in time or given up, depends on the queue. A box that
  allows both has a child for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.hindsight.problem import (
    CHARGE,
    DUE,
    QUEUE_END,
    TAIL_END,
    WAITING,
    Problem,
    StepAmounts,
    radio_of,
)
from offload.energy_model import BATTERY_J, tail_energy_j
from offload.objective import weights
from offload.types import FloatArray, IntArray, Quantity

LOCAL, EDGE = 0, 1


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of several lanes, n in all.

    Attributes:
        lane: whose they are, shape (n,).
        cost: of the decisions so far, shape (n,).
        low, high: the boxes, shape (5, n); the same array where every box is a point.
        tail_rank: place of the latest tail end a box allows among the episode's, 0 asleep.
        parent: label of the step before, shape (n,).
        placement: the decision that led here, shape (n,).
    """

    lane: IntArray
    cost: FloatArray
    low: FloatArray
    high: FloatArray
    tail_rank: IntArray
    parent: IntArray
    placement: IntArray

    @property
    def points(self) -> bool:
        """Whether every box is a point."""
        return self.low is self.high

    def take(self, keep: IntArray | NDArray[np.bool_]) -> Labels:
        """Some of the labels."""
        low = self.low[:, keep]
        return Labels(
            self.lane[keep],
            self.cost[keep],
            low,
            low if self.points else self.high[:, keep],
            self.tail_rank[keep],
            self.parent[keep],
            self.placement[keep],
        )


def start(problem: Problem, *, points: bool) -> Labels:
    """One label a lane: nothing queued, the radio asleep."""
    lanes = problem.lanes
    low = np.zeros((5, lanes))
    low[CHARGE] = problem.battery
    none = np.zeros(lanes, dtype=np.int64)
    high = low if points else low.copy()
    return Labels(np.arange(lanes), np.zeros(lanes), low, high, none, none, none)


def cost_bound(
    problem: Problem,
    step: StepAmounts,
    seconds: Quantity,
    joules: Quantity,
    charge: tuple[Quantity, ...],
) -> FloatArray:
    """Least objective of so many seconds and joules over the charges given, at most the cap."""
    costs = []
    for battery in charge:
        time_weight, energy_weight = weights(problem.objective, battery)
        costs.append(
            time_weight / step.reference_s * seconds + energy_weight / step.reference_j * joules
        )
    bound: FloatArray = np.minimum(np.minimum.reduce(costs), problem.cost_cap)
    return bound


def children(problem: Problem, labels: Labels, index: int) -> Labels:
    """Every label's decisions at a step, each as a label at the next one."""
    found = list(_children(problem, labels, problem.steps[index].of(labels.lane)))
    low = np.concatenate([child.low for child in found], axis=1)
    high = low if labels.points else np.concatenate([child.high for child in found], axis=1)
    rest = {
        name: np.concatenate([getattr(child, name) for child in found])
        for name in ("lane", "cost", "tail_rank", "parent", "placement")
    }
    return Labels(low=low, high=high, **rest)


def _children(problem: Problem, labels: Labels, step: StepAmounts) -> Iterator[Labels]:
    queue_s = tuple(np.maximum(box[QUEUE_END] - step.at_s, 0.0) for box in _corners(labels))
    charge = tuple(box[CHARGE] for box in _corners(labels))
    everyone = np.arange(len(labels.lane))

    low, high = _copies(labels)
    for box in _both(low, high):
        box[QUEUE_END] = np.maximum(box[QUEUE_END], step.at_s) + step.local_s
    cost = cost_bound(problem, step, queue_s[0] + step.local_s, step.local_j, charge)
    spent = (step.local_j, step.local_j)
    yield _next(problem, labels, step, everyone, (low, high), LOCAL, cost, spent)

    fits = step.edge_s <= step.room_s
    in_time = np.flatnonzero(fits | (queue_s[-1] + step.predicted_s >= step.edge_s))
    yield _in_time(problem, labels.take(in_time), step.of(in_time), in_time)
    late = np.flatnonzero(~fits & (queue_s[0] + step.predicted_s < step.edge_s))
    yield _given_up(problem, labels.take(late), step.of(late), late)


def _corners(labels: Labels) -> tuple[FloatArray, ...]:
    return (labels.low,) if labels.points else (labels.low, labels.high)


def _both(low: FloatArray, high: FloatArray) -> tuple[FloatArray, ...]:
    return (low,) if low is high else (low, high)


def _copies(labels: Labels) -> tuple[FloatArray, FloatArray]:
    low = labels.low.copy()
    return low, (low if labels.points else labels.high.copy())


def _tail_j(problem: Problem, labels: Labels, step: StepAmounts) -> tuple[FloatArray, FloatArray]:
    """Least and most energy of waking the radio and prolonging its tail."""
    radio = radio_of(problem.radio, labels.lane)
    least = tail_energy_j(radio, np.maximum(labels.high[TAIL_END] - step.at_s, 0.0))
    if labels.points:
        return least, least
    return least, tail_energy_j(radio, np.maximum(labels.low[TAIL_END] - step.at_s, 0.0))


def _in_time(problem: Problem, labels: Labels, step: StepAmounts, parent: IntArray) -> Labels:
    """The remote run is let finish."""
    tail_j = _tail_j(problem, labels, step)
    joules = (step.edge_j + tail_j[0], step.edge_j + tail_j[1])
    charge = tuple(box[CHARGE] for box in _corners(labels))
    cost = cost_bound(problem, step, step.edge_s, joules[0], charge)
    low, high = _copies(labels)
    if not labels.points:  # where the deadline has no room for it, only a long queue gives it time
        needs_s = np.where(step.edge_s <= step.room_s, 0.0, step.edge_s - step.predicted_s)
        low[QUEUE_END] = np.where(
            needs_s > 0.0, np.maximum(low[QUEUE_END], step.at_s + needs_s), low[QUEUE_END]
        )
        high[QUEUE_END] = np.maximum(high[QUEUE_END], low[QUEUE_END])
    tail_s = problem.radio.tail_s[labels.lane]
    for box in _both(low, high):
        box[TAIL_END] = np.maximum(box[TAIL_END], step.at_s + step.edge_s + tail_s)
    return _next(problem, labels, step, parent, (low, high), EDGE, cost, joules)


def _given_up(problem: Problem, labels: Labels, step: StepAmounts, parent: IntArray) -> Labels:
    """The remote run is not back within the budget, and the device does the task as well."""
    low, high = _copies(labels)
    if not labels.points:  # a longer queue would have given it time
        longest = step.at_s + step.edge_s - step.predicted_s
        high[QUEUE_END] = np.maximum(np.minimum(high[QUEUE_END], longest), low[QUEUE_END])
    budget_s = tuple(
        np.maximum(step.room_s, np.maximum(box[QUEUE_END] - step.at_s, 0.0) + step.predicted_s)
        for box in _both(low, high)
    )
    tail_j = _tail_j(problem, labels, step)
    joules = tuple(
        np.minimum(budget / step.edge_s, 1.0) * step.edge_j + tail + step.local_j
        for budget, tail in ((budget_s[0], tail_j[0]), (budget_s[-1], tail_j[1]))
    )
    charge = tuple(box[CHARGE] for box in _corners(labels))
    cost = cost_bound(problem, step, budget_s[0] + step.local_s, joules[0], charge)
    tail_s = problem.radio.tail_s[labels.lane]
    for box, budget in zip(_both(low, high), budget_s, strict=False):
        box[WAITING] += step.local_s
        box[DUE] = np.maximum(box[DUE], step.at_s + budget)
        box[TAIL_END] = np.maximum(
            box[TAIL_END], step.at_s + np.minimum(budget, step.edge_s) + tail_s
        )
    return _next(problem, labels, step, parent, (low, high), EDGE, cost, (joules[0], joules[1]))


def _next(
    problem: Problem,
    labels: Labels,
    step: StepAmounts,
    parent: IntArray,
    boxes: tuple[FloatArray, FloatArray],
    placement: int,
    cost: FloatArray,
    joules: tuple[FloatArray, FloatArray],
) -> Labels:
    """The labels at the next task's arrival.

    Args:
        boxes: low and high after the decision, for this function to change.
        joules: least and most energy drawn by the decision.
    """
    low, high = boxes
    _let_fall_back(low, high, step.next_at_s)
    drawn = (joules[0], joules[1]) if low is not high else (joules[0],)
    for box, most in zip(_both(low, high), reversed(drawn), strict=True):
        box[CHARGE] = np.maximum(box[CHARGE] - (most + step.idle_j) / BATTERY_J, 0.0)
        for row in (QUEUE_END, TAIL_END):
            box[row] = np.where(box[row] <= step.next_at_s, 0.0, box[row])
    for row in problem.kept:
        low[row], high[row] = labels.low[row], labels.high[row]
    rank = labels.tail_rank
    if placement == EDGE:
        rank = np.maximum(rank, step.tail_rank)
    return Labels(
        lane=labels.lane,
        cost=labels.cost + cost,
        low=low,
        high=high,
        tail_rank=np.where(high[TAIL_END] > 0.0, rank, 0),
        parent=parent,
        placement=np.full(len(parent), placement, dtype=np.int8),
    )


def _let_fall_back(low: FloatArray, high: FloatArray, until_s: FloatArray) -> None:
    """Work that fell back joins the queue if its time comes before ``until_s``."""
    may = (low[DUE] <= until_s) & (high[WAITING] > 0.0)
    if not may.any():
        return
    all_due = high[DUE] <= until_s
    surely = all_due & (low[WAITING] > 0.0)
    joined = [np.maximum(box[QUEUE_END], box[DUE]) + box[WAITING] for box in (low, high)]
    low[QUEUE_END] = np.where(surely, joined[0], low[QUEUE_END])
    if high is low:
        low[WAITING:, surely] = 0.0
        return
    high[QUEUE_END] = np.where(may, joined[1], high[QUEUE_END])
    low[WAITING:, may] = 0.0
    high[WAITING:, all_due] = 0.0
