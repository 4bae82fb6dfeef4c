"""In which order a sweep measures: every repetition visits all points in a new random order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evidence.sweeps.settings import Settings
from evidence.sweeps.swept import SWEPT


@dataclass(frozen=True, slots=True)
class Step:
    """One run: at which point, of which task (both indices), on which side."""

    point: int
    task: int
    on_edge: bool


@dataclass(frozen=True, slots=True)
class Block:
    """One repetition.

    Attributes:
        visits: the points in the order they are visited, each with its runs in their order.
        seeds: of the instance of each task; the same at every point, so that points are paired.
    """

    visits: tuple[tuple[Step, ...], ...]
    seeds: tuple[int, ...]

    @property
    def steps(self) -> int:
        """How many runs it takes."""
        return sum(len(visit) for visit in self.visits)


def plan_block(settings: Settings, number: int) -> Block:
    """The repetition of that number; the same for the same settings.

    The side that the swept quantity cannot change runs once a repetition, at a point drawn for each
    task: the device where link or edge are swept, the edge where the device is.
    """
    rng = np.random.default_rng([settings.seed, number])
    points, tasks = len(settings.points), len(settings.tasks)
    seeds = rng.integers(1_000, 2**31, size=tasks)
    swept_side = not SWEPT[settings.sweep].device_only
    visited = rng.integers(points, size=tasks)
    visits = []
    for point in rng.permutation(points):
        steps = [Step(int(point), task, swept_side) for task in range(tasks)]
        steps += [
            Step(int(point), task, not swept_side)
            for task in range(tasks)
            if visited[task] == point
        ]
        visits.append(tuple(steps[i] for i in rng.permutation(len(steps))))
    return Block(tuple(visits), tuple(int(seed) for seed in seeds))
