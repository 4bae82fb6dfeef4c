"""Where a measured difference changes its sign, with an interval.

The difference is ln(edge / device), so 0 is where both cost the same. At each point the median over
the repetitions stands for it (a typical run: single transfers have a long tail), and the medians
are made monotone by isotonic regression, since more of the swept quantity can only speak for one
side. Between two points the line is straight on the quantity's own scale; beyond the last one there
is no line, so a crossover outside is said to be outside, never where.

The interval is a bootstrap over whole repetitions, each of which visited every point with the same
task instances. Percentiles of few repetitions are too narrow; they are widened as Hesterberg, "What
Teachers Should Know About the Bootstrap", The American Statistician 69 (2015), section 4.1.2, does.
With fewer than six repetitions no interval can hold a median in 95 % of cases without assumptions:
the smallest and largest of n values hold it in 1 - 2^(1-n).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.optimize import isotonic_regression
from scipy.stats import norm, t

from offload.types import FloatArray

RESAMPLES = 1_000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Crossover:
    """Where it lies, on the scale of the positions given.

    Attributes:
        position: of equal costs; -inf below all points, inf beyond them.
        low, high: bounds of the 95 % interval, each of which may be infinite likewise; nan with
            one repetition.
        medians: of the difference at each point; nan where nothing is known.
        fitted: the monotone line, at each point; shape (points,).
        lows, highs: interval of that line at each point.
    """

    position: float
    low: float
    high: float
    medians: FloatArray
    fitted: FloatArray
    lows: FloatArray
    highs: FloatArray


def find_crossover(
    positions: FloatArray, differences: FloatArray, rng: Generator, *, rising: bool
) -> Crossover:
    """Estimate where the difference is 0.

    Args:
        positions: of the points, rising; shape (points,), two or more.
        differences: ln(edge / device), shape (repetitions, points); nan where a run is missing,
            though not at all repetitions of a point.
        rng: of the bootstrap.
        rising: the difference grows with the quantity, else it falls.
    """
    repetitions = len(differences)
    medians = np.nanmedian(differences, axis=0)
    fitted = _monotone(medians, rising)
    resampled = differences[rng.integers(repetitions, size=(RESAMPLES, repetitions))]
    drawn = np.array([_monotone(line, rising) for line in _medians(resampled, medians)])
    roots = np.array([root(positions, line, rising=rising) for line in drawn])
    tail = _tail(repetitions)
    bounds = [tail, 1.0 - tail]
    if math.isnan(tail):
        low = high = math.nan
        lows = highs = np.full(len(positions), math.nan)
    else:  # an order statistic, since some may be infinite
        low, high = (float(b) for b in np.quantile(roots, bounds, method="inverted_cdf"))
        lows, highs = np.quantile(drawn, bounds, axis=0)
    at = root(positions, fitted, rising=rising)
    return Crossover(at, low, high, medians, fitted, lows, highs)


def root(positions: FloatArray, line: FloatArray, *, rising: bool) -> float:
    """Where a monotone line through these points is 0: -inf before the first, inf past the last.

    A line that is 0 for a stretch has its root in the middle of it.
    """
    line = line if rising else -line
    if line[-1] < 0.0:
        return math.inf
    if line[0] > 0.0:
        return -math.inf
    zero = np.flatnonzero(line == 0.0)
    if len(zero):
        return float(positions[zero[0]] + positions[zero[-1]]) / 2.0
    right = int(np.flatnonzero(line > 0.0)[0])
    share = -line[right - 1] / (line[right] - line[right - 1])
    return float(positions[right - 1] + share * (positions[right] - positions[right - 1]))


def _monotone(medians: FloatArray, rising: bool) -> FloatArray:
    return np.asarray(isotonic_regression(medians, increasing=rising).x)


def _medians(resampled: FloatArray, instead: FloatArray) -> FloatArray:
    """Medians over axis 1; where a resample holds no run of a point, that of all runs instead."""
    if not np.isnan(resampled).any():
        return np.median(resampled, axis=1)  # several times faster than nanmedian
    empty = np.all(np.isnan(resampled), axis=1, keepdims=True)
    filled = np.where(empty, instead, resampled)
    return np.nanmedian(filled, axis=1)


def _tail(repetitions: int) -> float:
    """Share to cut off at either end: 2.5 % for many repetitions, less for few; nan for one."""
    if repetitions < 2:
        return math.nan
    widened = math.sqrt(repetitions / (repetitions - 1)) * t.ppf((1.0 + LEVEL) / 2, repetitions - 1)
    return float(norm.cdf(-widened))
