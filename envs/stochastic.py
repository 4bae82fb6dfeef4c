"""Stationary processes sampled at uneven times, for many lanes at once.

Each is Markov and drawn from its exact transition over the time between two samples, so a path has
the same law however finely, or how unevenly, it is sampled.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from offload.types import FloatArray


def ornstein_uhlenbeck(
    rng: Generator, gap_s: FloatArray, sigma: FloatArray | float, memory_s: float
) -> FloatArray:
    """A stationary process of mean 0, sampled at uneven times.

    Args:
        gap_s: time since the sample before, shape (steps, lanes); the first row is not used.
        sigma: its standard deviation, a number or shape (lanes,).
        memory_s: its correlation time.

    Returns:
        Shape (steps, lanes).
    """
    steps, lanes = gap_s.shape
    keep = np.exp(-gap_s / memory_s)
    shock = np.sqrt(1.0 - keep**2) * rng.standard_normal((steps, lanes))
    shock[0] = rng.standard_normal(lanes)
    out = np.empty_like(shock)
    out[0] = shock[0]
    for step in range(1, steps):
        out[step] = keep[step] * out[step - 1] + shock[step]
    return sigma * out


def two_state_chain(
    rng: Generator, gap_s: FloatArray, on_share: FloatArray | float, memory_s: float
) -> FloatArray:
    """A stationary on/off process (0 or 1), sampled at uneven times.

    Args:
        gap_s: shape (steps, lanes); the first row is not used.
        on_share: long-run share of time on, a number or shape (lanes,).
        memory_s: its correlation time, 1 / (rate on + rate off).

    Returns:
        0.0 or 1.0, shape (steps, lanes).
    """
    draw = rng.random(gap_s.shape)
    keep = np.exp(-gap_s / memory_s)
    out = np.empty_like(draw)
    out[0] = draw[0] < on_share
    for step in range(1, len(draw)):
        chance = on_share + keep[step] * (out[step - 1] - on_share)
        out[step] = draw[step] < chance
    return out


def episodes(rng: Generator, gap_s: FloatArray, every_s: float, lasts_s: float) -> FloatArray:
    """A stationary on/off process whose every stay on has a severity of its own.

    Args:
        gap_s: time since the sample before, shape (steps, lanes); the first row is not used.
        every_s: mean stay off (exponential); infinite: never on.
        lasts_s: mean stay on (exponential).

    Returns:
        Shape (steps, lanes): 0 while off; while on, that stay's severity, evenly from (0, 1].
    """
    fresh = 1.0 - rng.random(gap_s.shape)
    draw = rng.random(gap_s.shape)
    on_share = lasts_s / (lasts_s + every_s)
    forget = np.exp(-gap_s * (1.0 / lasts_s + 1.0 / every_s))
    to_on = on_share * (1.0 - forget)
    # On at both ends may be one stay, or another one that began in between.
    same = np.exp(-gap_s / lasts_s)
    on_to_on = to_on + forget
    out = np.empty_like(draw)
    out[0] = np.where(draw[0] < on_share, fresh[0], 0.0)
    for step in range(1, len(draw)):
        was_on = out[step - 1] > 0.0
        kept = was_on & (draw[step] < same[step])
        is_on = draw[step] < np.where(was_on, on_to_on[step], to_on[step])
        out[step] = np.where(kept, out[step - 1], np.where(is_on, fresh[step], 0.0))
    return out
