"""From what policies' drives came to, to the numbers that are reported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from agents.scores import RESAMPLES, Interval, mean_interval
from evidence.driving.accounts import Account
from offload.types import FloatArray

REFERENCE = "maui-measured"
"""The policy that the others' costs are compared with, where it drove."""


@dataclass(frozen=True, slots=True)
class DriveScore:
    """What is reported of one policy's drive; intervals are 95 %, over blocks of tasks.

    Attributes:
        cost: mean cost; about 1 for a device that runs everything itself.
        cost_above: mean cost above :data:`REFERENCE`'s of the same tasks; None: it did not drive.
        missed: share of deadlines missed.
        latency_p50_s, latency_p95_s: from a task's arrival to its outcome.
        energy_j: mean modelled energy a task.
        offloaded, fallbacks, failures: shares of tasks.
        wrong: answers that failed their own check.
        tasks: how many there were.
    """

    cost: Interval
    cost_above: Interval | None
    missed: Interval
    latency_p50_s: float
    latency_p95_s: float
    energy_j: Interval
    offloaded: float
    fallbacks: float
    failures: float
    wrong: int
    tasks: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON; intervals as [value, low, high]."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {n: v.as_list() if isinstance(v, Interval) else v for n, v in values.items()}


def block_length(tasks: int) -> int:
    """Tasks that are resampled together: a queue of one task delays the next.

    It grows with the cube root (Hall, Horowitz and Jing, Biometrika 1995).
    """
    return math.ceil(tasks ** (1.0 / 3.0))


def block_counts(tasks: int, rng: Generator) -> FloatArray:
    """How often each task occurs in each resample of circular blocks.

    Returns:
        Shape (RESAMPLES, tasks), each row adding up to ``tasks``.
    """
    length = block_length(tasks)
    blocks = -(-tasks // length)
    first = rng.integers(tasks, size=(RESAMPLES, blocks, 1))
    drawn = ((first + np.arange(length)) % tasks).reshape(RESAMPLES, -1)[:, :tasks]
    counts = np.zeros((RESAMPLES, tasks))
    np.add.at(counts, (np.arange(RESAMPLES)[:, None], drawn), 1.0)
    return counts


def score_drives(
    accounts: Mapping[str, Account], wrong: Mapping[str, int], rng: Generator
) -> dict[str, DriveScore]:
    """Score drives through the same tasks; all are resampled alike.

    Args:
        accounts: by policy.
        wrong: number of wrong answers, by policy.
    """
    if not accounts:
        return {}
    counts = block_counts(len(next(iter(accounts.values())).cost), rng)
    reference = accounts.get(REFERENCE)
    return {
        name: DriveScore(
            cost=mean_interval(each.cost, counts),
            cost_above=None
            if reference is None
            else mean_interval(each.cost - reference.cost, counts),
            missed=mean_interval(each.missed, counts),
            latency_p50_s=float(np.percentile(each.seconds, 50)),
            latency_p95_s=float(np.percentile(each.seconds, 95)),
            energy_j=mean_interval(each.energy_j, counts),
            offloaded=float(each.to_edge.mean()),
            fallbacks=float(each.fell_back.mean()),
            failures=float(each.failed.mean()),
            wrong=wrong[name],
            tasks=len(each.cost),
        )
        for name, each in accounts.items()
    }
