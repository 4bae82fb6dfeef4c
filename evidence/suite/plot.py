"""The pictures of the suite."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from evidence.suite.report import KeyFigures

FIRST, SECOND = "#0072B2", "#D55E00"
"""Of Okabe and Ito's palette; each has a shape of its own too."""


def plot_links(figures: KeyFigures, title: str, path: Path) -> None:
    """Each link's latencies and its competing flow: pairs of dots with their intervals."""
    panels = (
        ("task, median", "s", 1.0, ("latency_local", "on the device"),
         ("latency_offloaded", "offloaded")),
        ("43 kB task, median", "s", 1.0, ("offload_alone", "alone"),
         ("offload_with_flow", "beside a flow")),
        ("competing upload", "Mbit/s", 1e-6, ("flow_alone", "alone"),
         ("flow_with_offloading", "beside offloading")),
    )  # fmt: skip
    figure, axes = plt.subplots(
        1, 3, figsize=(11, 0.36 * len(figures.links) + 1.9), sharey=True, layout="constrained"
    )
    for panel, (what, unit, scale, first, second) in zip(axes, panels, strict=True):
        _draw_pairs(panel, figures, scale, first, second)
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.tick_params(labelsize=8)
        panel.set_xlabel(f"{what}, {unit}")
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(axis="x", color="#dddddd", linewidth=0.5)
        panel.legend(
            fontsize=8, ncols=2, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0)
        )
    axes[0].set_yticks(range(len(figures.links)), figures.links)
    axes[0].invert_yaxis()
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw_pairs(axes: Axes, figures: KeyFigures, scale: float, *sides: tuple[str, str]) -> None:
    for side, (kpi, label) in enumerate(sides):
        colour, marker, shift = ((FIRST, "o", -0.13), (SECOND, "^", 0.13))[side]
        rows = [(i, figures.get(link, kpi)) for i, link in enumerate(figures.links)]
        there = [(i, row) for i, row in rows if row is not None]
        if not there:
            continue
        values = scale * np.array([row.value for _, row in there])
        lows = scale * np.array([row.value if row.low is None else row.low for _, row in there])
        highs = scale * np.array([row.value if row.high is None else row.high for _, row in there])
        axes.errorbar(
            values,
            [i + shift for i, _ in there],
            xerr=np.clip([values - lows, highs - values], 0.0, None),
            fmt=marker,
            color=colour,
            markersize=5,
            linewidth=1.0,
            label=label,
        )


def plot_accuracy(figures: KeyFigures, path: Path) -> None:
    """A table of shades: every policy's decision accuracy on every link."""
    links = [link for link in figures.links if figures.get(link, "latency_local")]
    found = [[figures.get(link, "accuracy", name) for link in links] for name in figures.policies]
    share = np.array([[np.nan if row is None else row.value for row in rows] for rows in found])
    figure, axes = plt.subplots(
        figsize=(0.62 * len(links) + 2.6, 0.3 * len(figures.policies) + 2.0), layout="constrained"
    )
    image = axes.imshow(100 * share, cmap="cividis", vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(share):
        colour = "white" if value < 0.55 else "black"
        axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", color=colour,
                  fontsize=8)  # fmt: skip
    axes.set_xticks(range(len(links)), links, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(figures.policies)), figures.policies, fontsize=8)
    figure.colorbar(image, ax=axes, label="decision accuracy, %")
    figure.savefig(path, dpi=120)
    plt.close(figure)
