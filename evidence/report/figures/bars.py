"""Bars of every policy with intervals: accuracy, cost, regret."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from evidence.report.figures.plate import PANEL_IN, Panel, Plate, short
from evidence.report.palette import INK, MUTED, family
from evidence.report.run_data import Interval, Result

_NAME_SHARE = 0.315
_VALUE_SHARE = 0.13


def bars(result: Result) -> Plate:
    """Accuracy, cost and regret of every policy."""
    scores = result.policies
    panels = (
        _panel(
            "accuracy",
            "Accuracy, %",
            {name: _scaled(score.accuracy, 100.0) for name, score in scores.items()},
            digits=1,
        ),
        _panel(
            "cost",
            "Cost (always-local = 1)",
            {name: score.cost for name, score in scores.items()},
            digits=3,
            most=1.5,
            mark=1.0,
        ),
        _panel(
            "regret",
            "Regret to maui-true",
            {name: score.regret_maui_true for name, score in scores.items()},
            digits=3,
            most=4.0,
        ),
    )
    return Plate(
        "policies",
        "Accuracy (agreement with the optimum on the true state), cost and regret of every policy, "
        "with 95 % bootstrap intervals. Longer is better for accuracy alone. A bar that ends in » "
        "is cut off; its figure stands beside it.",
        panels,
    )


def _scaled(interval: Interval, factor: float) -> Interval:
    value, low, high = interval
    return factor * value, factor * low, factor * high


def _panel(
    name: str,
    heading: str,
    values: dict[str, Interval],
    *,
    digits: int,
    most: float | None = None,
    mark: float | None = None,
) -> Panel:
    names = list(values)
    height = 0.2 * len(names) + 0.62
    figure = Figure(figsize=(PANEL_IN, height))
    axes = figure.add_axes(
        (_NAME_SHARE, 0.27 / height, 1 - _NAME_SHARE - _VALUE_SHARE, 1 - 0.57 / height)
    )
    limit = 100.0
    if most is not None:
        limit = cut_at([high for _, _, high in values.values()], most)
    low_end = min(0.0, *(low for _, low, _ in values.values()))
    for row, (policy, (value, low, high)) in enumerate(values.items()):
        colour = family(policy).colour.light
        shown = min(value, limit)
        axes.barh(row, shown, height=0.66, color=colour, linewidth=0)
        if high <= limit:
            axes.plot([low, high], [row, row], color=INK.light, linewidth=1.0)
            axes.plot([low, high], [row, row], "|", color=INK.light, markersize=4)
        else:
            axes.text(limit, row, "»", ha="left", va="center_baseline", fontsize=9)
        axes.text(
            1 + _VALUE_SHARE / (1 - _NAME_SHARE - _VALUE_SHARE),
            row,
            f"{value:.{digits}f}",
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="center_baseline",
            fontsize=7.5,
        )
    axes.set_xlim(low_end, limit)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), [short(policy) for policy in names])
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=4)
    axes.grid(axis="x")
    if mark is not None:
        axes.axvline(mark, color=MUTED.light, linewidth=0.8, linestyle=(0, (3, 2)))
    figure.text(0.0, 1 - 0.2 / height, heading, fontweight="bold", fontsize=9)
    said = "; ".join(
        f"{policy} {value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
        for policy, (value, low, high) in values.items()
    )
    return Panel(name, f"Bar chart. {heading}: {said}.", figure)


def cut_at(highs: Sequence[float], most: float) -> float:
    """Where bars end: at the longest that is at most so many times as long as the middle one."""
    ordered = np.sort(np.asarray(highs, dtype=float))
    middle = float(ordered[len(ordered) // 2])
    fitting = ordered[ordered <= most * middle] if middle > 0.0 else ordered
    return max(float(fitting[-1]), 1e-3) * 1.04
