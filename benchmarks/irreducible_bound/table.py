"""What was found on a policy's way, as tables: over all links, and for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from agents.scores import Interval, bootstrap_counts, mean_interval
from benchmarks.irreducible_bound.bounds import Bound
from benchmarks.irreducible_bound.walk import Walk
from offload.types import FloatArray, IntArray

READING = (
    "Bounds: chosen by one half of the redraws and counted in the other, on average too tight; "
    "in brackets in the same redraws, too loose."
)


def tables(found: Walk, policy: str, links: Sequence[str], seed: int) -> Iterator[str]:
    """The lines of both tables; of one link there is no second.

    Args:
        links: names of the links that ``found.link`` counts.
        seed: of the resamples.
    """
    counts = bootstrap_counts(found.link, np.random.default_rng(seed))
    everyone = np.arange(len(found.link))
    yield "| | accuracy % | cost above maui-true's choice x 1000 |"
    yield "| --- | --- | --- |"
    for given, bounds in found.bounds.items():
        yield (
            f"| bound, given {given.words} | {_right(bounds, everyone, counts)} "
            f"| {_cost(bounds, everyone, counts)} |"
        )
    own = list(found.bounds.values())[-1]
    right = _text(_mean(own, "policy_right"), counts, 100.0)
    cost = _text(_mean(own, "policy_cost") - _mean(own, "true_cost"), counts, 1e3)
    yield f"| {policy} | {right} | {cost} |"
    if len(links) < 2:
        return
    yield ""
    names = [f"given {given.words}" for given in found.bounds]
    yield f"| accuracy % | {' | '.join(names)} | {policy} |"
    yield f"| --- |{' --- |' * (len(found.bounds) + 1)}"
    for index, link in enumerate(links):
        members = np.flatnonzero(found.link == index)
        if not len(members):
            continue
        few = counts[:, members]
        cells = [_right(bounds, members, few) for bounds in found.bounds.values()]
        cells.append(_text(_mean(own, "policy_right")[members], few, 100.0))
        yield f"| {link} | {' | '.join(cells)} |"


def _right(bounds: list[Bound], members: IntArray, counts: FloatArray) -> str:
    high = 100.0 * _mean(bounds, "right_high")[members].mean()
    return f"{_text(_mean(bounds, 'right')[members], counts, 100.0)} ({high:.2f})"


def _cost(bounds: list[Bound], members: IntArray, counts: FloatArray) -> str:
    true = _mean(bounds, "true_cost")
    low = 1e3 * (_mean(bounds, "cost_low") - true)[members].mean()
    return f"{_text((_mean(bounds, 'cost') - true)[members], counts, 1e3)} ({low:.2f})"


def _mean(bounds: list[Bound], name: str) -> FloatArray:
    """Each lane's mean over the steps."""
    mean: FloatArray = np.mean([getattr(bound, name) for bound in bounds], axis=0)
    return mean


def _text(values: FloatArray, counts: FloatArray, scale: float) -> str:
    one: Interval = mean_interval(values, counts)
    return f"{scale * one.value:.2f} [{scale * one.low:.2f}, {scale * one.high:.2f}]"
