"""Small multiples of a sweep: a panel a task, what was measured beside what was predicted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from evidence.sweeps.outcome import CRITERIA, Criterion, Curve
from evidence.sweeps.settings import Settings
from evidence.sweeps.swept import SWEPT, Swept
from evidence.sweeps.wording import CRITERION_NAMES, describe_base, describe_task

_COLOURS = {"cubic": "#0072B2", "bbr": "#D55E00"}
"""Of Okabe and Ito's palette, told apart by those who see few colours."""
_MARKERS = {"cubic": "o", "bbr": "s"}
_COLUMNS = 4
_MOST = 1_000.0
"""Ratios beyond it, either way, are drawn at the edge."""
_TICKS = [m * 10.0**e for e in range(-3, 4) for m in (1, 3)]


def plot_sweep(settings: Settings, curves: Sequence[Curve], folder: Path) -> list[Path]:
    """Write a figure for each criterion, as PNG and SVG, with its caption; returns the PNGs."""
    folder.mkdir(exist_ok=True)
    written = []
    for criterion in CRITERIA:
        path = folder / f"crossovers-{settings.sweep}-{criterion}.png"
        _plot(settings, [c for c in curves if c.criterion == criterion], criterion, path)
        written.append(path)
    return written


def _plot(settings: Settings, curves: Sequence[Curve], criterion: Criterion, path: Path) -> None:
    swept = SWEPT[settings.sweep]
    columns = min(_COLUMNS, len(settings.tasks))
    rows = -(-len(settings.tasks) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(max(5.0, 3.0 * columns), 2.5 * rows + 1.3),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    low, high = _limits(curves)
    for index, panel in enumerate(axes.flat):
        if index >= len(settings.tasks):
            panel.set_visible(False)
            continue
        task = settings.tasks[index]
        for curve in curves:
            if curve.task == task:
                _draw(panel, settings, swept, curve, shift=settings.controls.index(curve.control))
        _dress(panel, settings, swept, low, high)
        panel.set_title(describe_task(task), fontsize=9)
        if index + columns >= len(settings.tasks):  # nothing below it
            panel.tick_params(labelbottom=True)
            panel.set_xlabel(f"{swept.noun.removeprefix('the ')}, {swept.unit}", fontsize=9)
    what = CRITERION_NAMES[criterion]
    figure.supylabel("edge / device (below 1 the edge is better)", fontsize=9)
    figure.suptitle(
        f"Where offloading stops paying: {what}\n{describe_base(settings, *settings.controls)}",
        fontsize=10,
    )
    entries: dict[str, Artist] = {}
    for panel in axes.flat:
        handles, labels = panel.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    figure.legend(entries.values(), entries.keys(), loc="outside lower center",
                  ncols=min(6, len(entries)), fontsize=8, frameon=False)  # fmt: skip
    figure.savefig(path, dpi=130)
    figure.savefig(path.with_suffix(".svg"))
    plt.close(figure)
    path.with_suffix(".txt").write_text(
        f"Measured edge over device, {what}, against {swept.noun}"
        f" ({describe_base(settings, *settings.controls)}). Below 1 offloading pays."
        f" Short lines: single runs, {settings.repeats} repetitions; large marks: medians, made"
        " monotone, with 95 % intervals; band: the crossover's 95 % interval; dashed: as the model"
        " predicts.\n"
    )


def _limits(curves: Sequence[Curve]) -> tuple[float, float]:
    """Of the ratio's axis: all that is drawn, and at least a factor of four either way."""
    lines = [curve.model_ratios for curve in curves]
    lines += [curve.ratios[~np.isnan(curve.ratios)] for curve in curves]
    drawn = np.exp(np.concatenate(lines))
    low, high = min(0.25, drawn.min() / 1.3), max(4.0, drawn.max() * 1.3)
    return max(low, 1.0 / _MOST), min(high, _MOST)


def _draw(panel: Axes, settings: Settings, swept: Swept, curve: Curve, shift: int) -> None:
    colour, marker = _COLOURS[curve.control], _MARKERS[curve.control]
    name = curve.control.upper()
    positions = swept.position(np.array(settings.points))
    span = positions[-1] - positions[0]
    at = positions + (shift - (len(settings.controls) - 1) / 2.0) * 0.015 * span
    for runs in np.exp(curve.ratios):
        panel.plot(at, runs, "_", color=colour, markersize=7, alpha=0.5, linestyle="none")
    model = np.exp(curve.model_ratios)
    panel.plot(swept.position(curve.model_values), model, "--", color=colour, linewidth=1.1,
               label=f"{name}, model")  # fmt: skip
    found = curve.measured
    if found is None:
        return
    known = at[curve.known]
    fitted, lows, highs = (np.exp(line) for line in (found.fitted, found.lows, found.highs))
    panel.plot(known, fitted, "-", color=colour, linewidth=1.5, label=f"{name}, measured")
    spread = np.clip(np.nan_to_num([fitted - lows, highs - fitted]), 0.0, None)
    panel.errorbar(known, fitted, yerr=spread, fmt=marker, color=colour, markersize=4.5,
                   elinewidth=1.0, capsize=2)  # fmt: skip
    if np.isfinite(found.position) and not np.isnan(found.low):
        ends = np.clip([found.low, found.high], positions[0], positions[-1])
        panel.axvspan(*ends, color=colour, alpha=0.15, linewidth=0)
        panel.axvline(found.position, color=colour, linewidth=0.9)
    given_up = np.flatnonzero(curve.given_up)
    if len(given_up):
        panel.plot(at[given_up], np.full(len(given_up), 0.95), "^", color=colour, markersize=5,
                   transform=panel.get_xaxis_transform(), fillstyle="none",
                   label=f"{name}, runs given up")  # fmt: skip


def _dress(panel: Axes, settings: Settings, swept: Swept, low: float, high: float) -> None:
    panel.axhline(1.0, color="#444444", linewidth=0.8)
    panel.set_yscale("log")
    panel.set_ylim(low, high)
    panel.yaxis.set_major_locator(FixedLocator([tick for tick in _TICKS if low <= tick <= high]))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}"))
    positions = swept.position(np.array(settings.points))
    panel.xaxis.set_major_locator(FixedLocator(list(positions)))
    panel.set_xticklabels([swept.point(value) for value in settings.points])
    margin = 0.04 * (positions[-1] - positions[0])
    panel.set_xlim(positions[0] - margin, positions[-1] + margin)
    panel.tick_params(labelsize=8)
    panel.grid(axis="y", color="#e6e6e6", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
