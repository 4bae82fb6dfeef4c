"""Scores of several training seeds of one algorithm as one policy, their variance counted in.

A resample draws seeds and, within each link, scenarios, both with replacement, and takes each drawn
seed's results on each drawn scenario: a stratified bootstrap over both, as Agarwal et al., "Deep
reinforcement learning at the edge of the statistical precipice" (NeurIPS 2021), have it over runs
and tasks. So an interval says what another training, met by other scenarios, might have come to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.random import Generator

from agents.comparison import MEASURED, STATIC_NAMES, Comparison, Optimum, compare
from agents.rollout import Rollout
from agents.scores import LinkScore, Score, score, score_link
from offload.types import FloatArray, IntArray

RESAMPLES = 1000
"""Fewer than over scenarios alone, since each is as many times as large as there are seeds."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """Seeds and scenarios as one long row of scenarios: the first seed's, then the second's, ...

    Attributes:
        rollouts: of the seeds, and of what they are compared with, repeated for each seed.
        counts: resamples, shape (RESAMPLES, seeds * scenarios).
        optimum: the optimum in hindsight, repeated for each seed.
        seeds, scenarios: how many there are of each.
    """

    rollouts: dict[str, Rollout]
    counts: FloatArray
    optimum: Optimum | None
    seeds: int
    scenarios: int

    def score(self, name: str, oracle: str) -> Score:
        """The seeds' score together."""
        return score(self.rollouts[name], self.rollouts[oracle], self.counts)

    def score_link(self, name: str, oracle: str, members: IntArray) -> LinkScore:
        """The same, on the scenarios of one link."""
        each = [members + self.scenarios * index for index in range(self.seeds)]
        found = score_link(
            self.rollouts[name], self.rollouts[oracle], np.concatenate(each), self.counts
        )
        return replace(found, scenarios=len(members))

    def compare(self, name: str) -> Comparison:
        """The seeds together against other policies."""
        return compare(self.rollouts, self.counts, self.optimum)[name]


def pool(
    name: str,
    members: Sequence[str],
    rollouts: Mapping[str, Rollout],
    counts: FloatArray,
    optimum: Optimum | None,
    oracle: str,
    rng: Generator,
) -> Pooled:
    """Put the seeds of one algorithm side by side.

    Args:
        name: what they are called together.
        members: their names in ``rollouts``.
        counts: resamples of the scenarios.
        rng: draws the resamples of the seeds.
    """
    seeds = len(members)
    drawn = rng.multinomial(seeds, np.full(seeds, 1.0 / seeds), size=RESAMPLES)
    others = {oracle, MEASURED, *STATIC_NAMES} & rollouts.keys()
    played = {other: _join([rollouts[other]] * seeds) for other in others}
    played[name] = _join([rollouts[member] for member in members])
    scenarios = counts.shape[1]
    if optimum is not None:
        optimum = Optimum(
            lanes=np.concatenate([optimum.lanes + scenarios * index for index in range(seeds)]),
            counts=_both(drawn, optimum.counts),
            found=_repeat(optimum.found, seeds),
        )
    return Pooled(played, _both(drawn, counts), optimum, seeds, scenarios)


def _both(drawn: IntArray, counts: FloatArray) -> FloatArray:
    """How often each seed meets each scenario in each resample."""
    pairs: FloatArray = drawn[:, :, None] * counts[: len(drawn), None, :]
    return pairs.reshape(len(drawn), -1)


def _join(parts: Sequence[Rollout]) -> Rollout:
    values = {
        each.name: np.concatenate([getattr(part, each.name) for part in parts], axis=1)
        for each in fields(Rollout)
    }
    return Rollout(**values)


def _repeat(part: Any, times: int) -> Any:
    """A dataclass of arrays, each repeated along its last axis."""
    values = {}
    for each in fields(part):
        value = getattr(part, each.name)
        values[each.name] = np.concatenate([value] * times, axis=-1)
    return type(part)(**values)
