"""What is compared of measured and synthetic links: how far, how fast and how abruptly they move.

A panel holds one quantity of many links, shape (rows, links), one row each half second; links
shorter than the longest end in NaN. Every statistic is of ln(value / the link's own median), so it
says nothing of how fast a link is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offload.types import FloatArray, IntArray

ROW_S = 0.5
LOWEST = 0.01
"""Ratios to the median are cut here: below, a link counts as out, however low it is."""
ACF_LOWEST = 0.1
"""The autocorrelation is of logarithms cut here, else outages alone would decide it."""
LAGS_S = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0)
SHARES = (0.01, 0.025, 0.05, 0.1, 0.25, 0.75, 0.9, 0.95, 0.975, 0.99)
LINK_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
LENGTHS_S = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0)


@dataclass(frozen=True, slots=True)
class Kind:
    """How a quantity is looked at.

    Attributes:
        thresholds: ratios to the median beyond which it counts as a dip (a spike, above 1).
        lags_s: lags of the autocorrelation.
    """

    thresholds: tuple[float, ...]
    lags_s: tuple[float, ...]


RATE = Kind(thresholds=(0.3, 0.1, 0.03), lags_s=LAGS_S)
RTT = Kind(thresholds=(1.3, 1.5, 2.0, 3.0), lags_s=LAGS_S[:8])
"""Pings ran for 30 s a trace, so their long lags say little."""


def log_ratios(panel: FloatArray) -> FloatArray:
    """ln(value / the link's median), cut at LOWEST."""
    ratio = panel / np.nanmedian(panel, axis=0)
    logs: FloatArray = np.log(np.where(np.isnan(ratio), np.nan, np.maximum(ratio, LOWEST)))
    return logs


def autocorrelation(logs: FloatArray, lags_s: tuple[float, ...]) -> list[float]:
    """Pooled over links, each about its own mean."""
    moved = np.maximum(logs, np.log(ACF_LOWEST))
    moved = moved - np.nanmean(moved, axis=0)
    variance = np.nanmean(moved**2)
    rows = [round(lag_s / ROW_S) for lag_s in lags_s]
    return [float(np.nanmean(moved[row:] * moved[:-row]) / variance) for row in rows]


def spreads(logs: FloatArray) -> FloatArray:
    """Of each link, its standard deviation as the quartiles tell it, which ignores outages."""
    low, high = np.nanquantile(logs, (0.25, 0.75), axis=0)
    spread: FloatArray = (high - low) / 1.349
    return spread


def stays(logs: FloatArray, threshold: float) -> tuple[IntArray, FloatArray]:
    """Rows and worst value of each stay beyond the threshold, ends of a link counted as ends."""
    sign = 1.0 if threshold < 1.0 else -1.0
    beyond = sign * logs < sign * np.log(threshold)
    # One link behind the other, a row of nothing after each.
    flat = np.pad(beyond, ((0, 1), (0, 0))).T.ravel()
    values = np.pad(sign * logs, ((0, 1), (0, 0))).T.ravel()
    edges = np.diff(flat.astype(int), prepend=0)
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    if len(starts) == 0:
        return starts, np.zeros(0)
    worst = np.minimum.reduceat(np.where(flat, values, np.inf), starts)
    return ends - starts, np.exp(sign * worst)


def describe(panel: FloatArray, kind: Kind) -> dict[str, float]:
    """All statistics of a panel by name; what the fit compares."""
    logs = log_ratios(panel)
    seconds = ROW_S * float(np.isfinite(logs).sum())
    found: dict[str, float] = {}
    for share, value in zip(SHARES, np.nanquantile(logs, SHARES), strict=True):
        found[f"quantile {share:g}"] = float(value)
    for lag_s, value in zip(kind.lags_s, autocorrelation(logs, kind.lags_s), strict=True):
        found[f"autocorrelation {lag_s:g} s"] = value
    for share, value in zip(LINK_SHARES, np.nanquantile(spreads(logs), LINK_SHARES), strict=True):
        found[f"spread of a link, quantile {share:g}"] = float(value)
    for threshold in kind.thresholds:
        rows, worst = stays(logs, threshold)
        beyond_s = ROW_S * float(rows.sum())
        found[f"beyond {threshold:g}, share of time"] = beyond_s / seconds
        found[f"beyond {threshold:g}, mean s"] = beyond_s / max(len(rows), 1)
        found[f"beyond {threshold:g}, worst, median"] = (
            float(np.median(worst)) if len(worst) else np.nan
        )
    return found


def describe_loss(ping_loss: FloatArray) -> dict[str, float]:
    """Statistics of the share of pings lost in five seconds, shape (rows, links)."""
    later = round(5.0 / ROW_S)
    lossy = ping_loss > 0.0
    again = lossy[:-later] & lossy[later:]
    return {
        "mean": float(ping_loss.mean()),
        "rows with loss, share": float(lossy.mean()),
        "links with loss, share": float(lossy.any(axis=0).mean()),
        "mean where there is loss": float(ping_loss.sum() / max(lossy.sum(), 1)),
        "loss 5 s later too": float(again.sum() / max(lossy[:-later].sum(), 1)),
    }


def curves(panel: FloatArray, kind: Kind, threshold: float) -> dict[str, list[float]]:
    """What the plot shows: distribution, autocorrelation, lengths of stays beyond the threshold."""
    logs = log_ratios(panel)
    rows, _ = stays(logs, threshold)
    lengths_s = ROW_S * rows
    at_least = [float(np.mean(lengths_s >= length_s)) for length_s in LENGTHS_S]
    finite = np.sort(logs[np.isfinite(logs)])
    grid = distribution_grid(kind)
    return {
        "distribution": (np.searchsorted(finite, grid, side="right") / len(finite)).tolist(),
        "autocorrelation": autocorrelation(logs, kind.lags_s),
        "at least so long": at_least,
    }


def distribution_grid(kind: Kind) -> FloatArray:
    """Where the distribution of ln(value / median) is told."""
    low, high = (np.log(LOWEST), 3.0) if kind is RATE else (-1.0, 2.5)
    return np.linspace(low, high, 57)
