"""A bound on what the rest of an episode costs at least: an optimum of fewer couplings.

It lets the device's queue be empty at every task, the battery have whichever charge in reach suits,
and every remote run be back in time if that is cheaper. What is left is the radio's tail, which
ends at one of as many moments as the episode has tasks: a dynamic programme backwards over these
is exact. Each of the three only makes decisions cheaper, so no plan costs less.
"""

from __future__ import annotations

import numpy as np

from agents.hindsight.labels import cost_bound
from agents.hindsight.problem import Problem, StepAmounts, radio_of
from offload.energy_model import BATTERY_J, tail_energy_j
from offload.types import FloatArray, RadioPower


def costs_to_go(problem: Problem) -> FloatArray:
    """Least cost from each step on, shape (steps + 1, lanes, steps + 1); the last 0.

    The last axis is the moment at which the tail ends, as :attr:`Problem.tail_ends_s`; the later,
    the less it costs.
    """
    n_steps, lanes = len(problem.steps), problem.lanes
    charges = _charges_in_reach(problem)
    longest_s = _longest_queues(problem)
    each_lane = np.arange(lanes)[:, None]
    ranks = np.arange(n_steps + 1)[None, :]
    radio = _columns(problem.radio)
    to_go = np.zeros((n_steps + 1, lanes, n_steps + 1))
    for index in range(n_steps - 1, -1, -1):
        step = StepAmounts(*(getattr(problem.steps[index], n)[:, None] for n in _AMOUNTS))
        charge = tuple(bound[:, None] for bound in charges[index])
        tail_j = tail_energy_j(radio, np.maximum(problem.tail_ends_s - step.at_s, 0.0))
        at_home = cost_bound(problem, step, step.local_s, step.local_j, charge)
        away = _least_away(problem, step, tail_j, charge, longest_s[index][:, None])
        after = np.maximum(ranks, step.tail_rank)
        to_go[index] = np.minimum(
            at_home + to_go[index + 1], away + to_go[index + 1][each_lane, after]
        )
    return to_go


_AMOUNTS = tuple(StepAmounts.__slots__)


def _columns(radio: RadioPower) -> RadioPower:
    return radio_of(radio, np.s_[:, None])  # type: ignore[arg-type]


def _least_away(
    problem: Problem,
    step: StepAmounts,
    tail_j: FloatArray,
    charge: tuple[FloatArray, ...],
    longest_s: FloatArray,
) -> FloatArray:
    """The cheaper of a remote run that is let finish, where it can be, and of one given up."""
    in_time = cost_bound(problem, step, step.edge_s, step.edge_j + tail_j, charge)
    can = step.edge_s <= np.maximum(step.room_s, longest_s + step.predicted_s) * (1.0 + 1e-9)
    in_time = np.where(can, in_time, np.inf)
    budget_s = np.maximum(step.room_s, step.predicted_s)
    spent_j = np.minimum(budget_s / step.edge_s, 1.0) * step.edge_j + tail_j + step.local_j
    given_up = cost_bound(problem, step, budget_s + step.local_s, spent_j, charge)
    return np.minimum(in_time, given_up)


def _charges_in_reach(problem: Problem) -> list[tuple[FloatArray, FloatArray]]:
    """Least and most charge at each step, whatever was decided before; shape (lanes,) each."""
    low = high = problem.battery
    waking_j = tail_energy_j(problem.radio, np.zeros(problem.lanes))
    found = []
    for step in problem.steps:
        found.append((low, high))
        most = np.maximum(step.local_j, step.edge_j + waking_j + step.local_j)
        least = np.minimum(step.local_j, step.edge_j)
        low = np.maximum(low - (most + step.idle_j) / BATTERY_J, 0.0)
        high = np.maximum(high - (least + step.idle_j) / BATTERY_J, 0.0)
    return found


def _longest_queues(problem: Problem) -> list[FloatArray]:
    """The longest queue in reach at each step, whatever was decided before; shape (lanes,) each.

    ``ends_s`` bounds when all accepted work can be done, what fell back and waits counted in.
    """
    ends_s = np.zeros(problem.lanes)
    waiting_s = np.zeros(problem.lanes)
    found = []
    for step in problem.steps:
        queue_s = np.maximum(ends_s - step.at_s, 0.0)
        found.append(queue_s)
        waiting_s = np.where(queue_s > 0.0, waiting_s, 0.0)
        given_up = step.edge_s > step.room_s
        budget_s = np.maximum(step.room_s, queue_s + step.predicted_s)
        due_s = np.where(given_up, step.at_s + budget_s + waiting_s, 0.0)
        ends_s = np.maximum(np.maximum(ends_s, step.at_s), due_s) + step.local_s
        waiting_s = waiting_s + np.where(given_up, step.local_s, 0.0)
    return found
