"""Stationary processes sampled at uneven times, for many lanes at once.

Both are reversible in time: the value some seconds ago, given the value now, has the same law as
the value in so many seconds. That is how an ageing estimate is drawn.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from offload.types import FloatArray


def ornstein_uhlenbeck(
    rng: Generator, gap_s: FloatArray, sigma: float, memory_s: float
) -> FloatArray:
    """A stationary process of mean 0, sampled at uneven times.

    Args:
        gap_s: time since the sample before, shape (steps, lanes); the first row is not used.
        sigma: its standard deviation.
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


def earlier_value(
    rng: Generator, now: FloatArray, age_s: FloatArray, sigma: float, memory_s: float
) -> FloatArray:
    """The same process ``age_s`` earlier, given its value now (it is reversible)."""
    keep = np.exp(-age_s / memory_s)
    return keep * now + sigma * np.sqrt(1.0 - keep**2) * rng.standard_normal(now.shape)


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


def earlier_state(
    rng: Generator,
    now: FloatArray,
    age_s: FloatArray,
    on_share: FloatArray | float,
    memory_s: float,
) -> FloatArray:
    """The on/off process ``age_s`` earlier, given its state now (it is reversible)."""
    chance = on_share + np.exp(-age_s / memory_s) * (now - on_share)
    return (rng.random(now.shape) < chance).astype(float)
