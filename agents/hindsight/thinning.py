"""Keeping the number of labels down: those of one lane that are nearly alike become one.

Alike are labels whose states lie in the same cell of a grid. The grid starts so fine that only
states equal but for rounding share a cell, and gets coarser for the lanes that hold too many, until
few enough are left. A cell is as wide in seconds of queue, seconds of tail and charge as is worth
about the same cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.hindsight.labels import Labels
from agents.hindsight.problem import CHARGE, DUE, QUEUE_END, TAIL_END, WAITING, Problem
from offload.objective import LOW_BATTERY
from offload.types import FloatArray, IntArray, Objective

FINEST = 1e-9
"""Cells so wide hold what only rounding tells apart."""
COARSER_FROM, COARSER_BY = 1e-5, 2.0
"""The next width, and the factor from there on."""
_AHEAD = 4
"""Tasks over which a second's worth is averaged: about as far as a queue or a tail reaches."""


@dataclass(frozen=True, slots=True)
class Worth:
    """About what cost hangs on a state after some step; it sets cells' shapes and proves nothing.

    Attributes:
        queue, tail: of a second of either, shape (lanes,).
        charge: of a full battery, shape (lanes,).
    """

    queue: FloatArray
    tail: FloatArray
    charge: FloatArray


def worths(problem: Problem) -> list[Worth]:
    """What states are worth after each step."""
    found = []
    charge_matters = (problem.objective is Objective.MIXED) & (problem.battery <= LOW_BATTERY)
    for index in range(len(problem.steps)):
        ahead = problem.steps[index + 1 : index + 1 + _AHEAD] or problem.steps[index:]
        per_s = np.mean([0.5 / step.reference_s for step in ahead], axis=0)
        per_j = np.mean([0.5 / step.reference_j for step in ahead], axis=0)
        left = len(problem.steps) - index
        found.append(
            Worth(per_s, per_j * problem.radio.tail_w, np.where(charge_matters, float(left), 0.0))
        )
    return found


def thin(labels: Labels, most: int, lanes: int, worth: Worth) -> Labels:
    """At most so many labels of each of so many lanes."""
    width = np.full(lanes, FINEST)
    kept = _merge(labels, width, worth)
    while True:
        crowded = np.bincount(kept.lane, minlength=lanes) > most
        if not crowded.any():
            return kept
        width = np.where(crowded, np.maximum(width * COARSER_BY, COARSER_FROM), width)
        busy = crowded[kept.lane]
        kept = _join(kept.take(~busy), _merge(kept.take(busy), width, worth))


def _join(*parts: Labels) -> Labels:
    low = np.concatenate([part.low for part in parts], axis=1)
    points = all(part.points for part in parts)
    return Labels(
        low=low,
        high=low if points else np.concatenate([part.high for part in parts], axis=1),
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("lane", "cost", "tail_rank", "parent", "placement")
        },
    )


def _merge(labels: Labels, width: FloatArray, worth: Worth) -> Labels:
    """Merge the labels that share a cell: into the cheapest of points, into the hull of boxes."""
    if len(labels.lane) == 0:
        return labels
    keys = (*_cells(labels, width, worth), labels.lane)
    order = np.lexsort((labels.cost, *keys))
    first = np.zeros(len(order), dtype=bool)
    first[0] = True
    for key in keys:
        ordered = key[order]
        first[1:] |= ordered[1:] != ordered[:-1]
    return _merged(labels.take(order), np.flatnonzero(first))


def _cells(labels: Labels, width: FloatArray, worth: Worth) -> tuple[FloatArray, ...]:
    own = width[labels.lane]
    exact = own <= FINEST

    def cell(value: FloatArray, scale: FloatArray | float) -> FloatArray:
        return np.round(value * scale / own)

    queue_worth = np.where(exact, 1.0, worth.queue[labels.lane])
    tail_cell = cell(labels.high[TAIL_END], worth.tail[labels.lane])
    return (
        cell(labels.low[DUE], 1.0),
        cell(labels.low[WAITING], 1.0),
        cell(labels.low[CHARGE], worth.charge[labels.lane]),
        cell(labels.low[QUEUE_END], queue_worth),
        np.where(exact, labels.tail_rank, tail_cell),
    )


def _merged(labels: Labels, starts: IntArray) -> Labels:
    """Each run of labels from a start to the next as one."""
    leaders = labels.take(starts)
    if labels.points:
        return leaders
    return Labels(
        lane=leaders.lane,
        cost=leaders.cost,
        low=np.minimum.reduceat(labels.low, starts, axis=1),
        high=np.maximum.reduceat(labels.high, starts, axis=1),
        tail_rank=np.maximum.reduceat(labels.tail_rank, starts),
        parent=leaders.parent,
        placement=leaders.placement,
    )
