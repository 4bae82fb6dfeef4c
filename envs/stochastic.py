"""Stationary processes sampled at uneven times, for many lanes at once.

Each is Markov and drawn from its exact transition over the time between two samples, so a path has
the same law however finely, or how unevenly, it is sampled. What is named ``..._later`` draws that
transition alone, from where a process is known to be.
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


def ornstein_uhlenbeck_later(
    rng: Generator, now: FloatArray, after_s: FloatArray, sigma: FloatArray | float, memory_s: float
) -> FloatArray:
    """Where the process of :func:`ornstein_uhlenbeck` is some time after it was at ``now``.

    Args:
        now, after_s: shape (lanes,).
        sigma, memory_s: of the process.

    Returns:
        Shape (lanes,).
    """
    keep = np.exp(-after_s / memory_s)
    later: FloatArray = keep * now + np.sqrt(1.0 - keep**2) * sigma * rng.standard_normal(now.shape)
    return later


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


def two_state_chain_later(
    rng: Generator,
    now: FloatArray,
    after_s: FloatArray,
    on_share: FloatArray | float,
    memory_s: float,
) -> FloatArray:
    """Where the process of :func:`two_state_chain` is some time after it was at ``now``.

    Args:
        now: 0 or 1, shape (lanes,).
        after_s: shape (lanes,).
        on_share, memory_s: of the process.

    Returns:
        0.0 or 1.0, shape (lanes,).
    """
    chance = on_share + np.exp(-after_s / memory_s) * (now - on_share)
    return np.asarray(rng.random(now.shape) < chance, dtype=float)


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
    chances = _stay_chances(gap_s, every_s, lasts_s)
    out = np.empty_like(draw)
    out[0] = np.where(draw[0] < lasts_s / (lasts_s + every_s), fresh[0], 0.0)
    for step in range(1, len(draw)):
        here = (chance[step] for chance in chances)
        out[step] = _next_stay(out[step - 1], fresh[step], draw[step], *here)
    return out


def episodes_later(
    rng: Generator, now: FloatArray, after_s: FloatArray, every_s: float, lasts_s: float
) -> FloatArray:
    """Where the process of :func:`episodes` is some time after it was at ``now``.

    Args:
        now: severity, 0 while off, shape (lanes,).
        after_s: shape (lanes,).
        every_s, lasts_s: of the process.

    Returns:
        Shape (lanes,).
    """
    fresh = 1.0 - rng.random(now.shape)
    draw = rng.random(now.shape)
    return _next_stay(now, fresh, draw, *_stay_chances(after_s, every_s, lasts_s))


def _stay_chances(
    gap_s: FloatArray, every_s: float, lasts_s: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Chances over a gap: that a stay lasts; that on is on again; that off is on.

    On at both ends may be one stay, or another one that began in between.
    """
    on_share = lasts_s / (lasts_s + every_s)
    forget = np.exp(-gap_s * (1.0 / lasts_s + 1.0 / every_s))
    to_on = on_share * (1.0 - forget)
    return np.exp(-gap_s / lasts_s), to_on + forget, to_on


def _next_stay(
    before: FloatArray,
    fresh: FloatArray,
    draw: FloatArray,
    same: FloatArray,
    on_to_on: FloatArray,
    to_on: FloatArray,
) -> FloatArray:
    """Severity a gap later, from even draws and the chances of :func:`_stay_chances`."""
    was_on = before > 0.0
    kept = was_on & (draw < same)
    is_on = draw < np.where(was_on, on_to_on, to_on)
    return np.where(kept, before, np.where(is_on, fresh, 0.0))
