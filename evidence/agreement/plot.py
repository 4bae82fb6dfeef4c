"""The picture of a comparison: predicted against measured seconds, a panel a component."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from evidence.agreement.compare import Agreement
from evidence.agreement.errors import GOAL_P90
from evidence.agreement.predictions import COMPONENTS, Component, Predicted

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, which the colour-blind tell apart."""
_MARKS = "os^Dv<>"
_TITLES: dict[Component, str] = {
    "local": "on the device",
    "upload": "upload",
    "queue": "time in the server besides the task",
    "compute": "compute at the edge",
    "download": "download",
    "total": "total at the edge",
}


def plot_agreement(agreement: Agreement, path: Path) -> None:
    """Draw each component's prediction from the link as set against what was measured.

    The task is taken as hard as it proved on the device, but of the device's own seconds, which are
    predicted by kind and size. What is predicted to take no time has no place on the axes; its
    panel shows how the measured seconds are distributed instead.
    """
    profiles = sorted({row.profile for row in agreement.rows})
    figure, axes = plt.subplots(2, 3, figsize=(11, 7.4))
    for panel, component in zip(axes.ravel(), COMPONENTS, strict=True):
        hard = "table" if component == "local" else "own"
        rows = [
            row
            for row in agreement.rows
            if (row.component, row.link, row.hard) == (component, "set", hard) and not row.given_up
        ]
        panel.set_title(_TITLES[component], fontsize=10)
        panel.spines[["top", "right"]].set_visible(False)
        if rows and all(row.predicted_s > 0.0 for row in rows):
            _scatter(panel, rows, profiles)
        elif rows:
            _distribution(panel, rows, profiles)
        else:
            panel.text(0.5, 0.5, "nothing measured", ha="center", transform=panel.transAxes)
    handles, labels = next(
        (found for panel in axes.ravel() if (found := panel.get_legend_handles_labels())[0]),
        ([], []),
    )
    figure.legend(handles, labels, loc="lower center", ncols=max(1, len(labels)), frameon=False)
    figure.suptitle(
        f"Simulated against measured: link as set, {len(agreement.runs)} live "
        f"run{'s' if len(agreement.runs) > 1 else ''}; band: ±{GOAL_P90:.0%}"
    )
    figure.tight_layout(rect=(0.0, 0.04, 1.0, 1.0))
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _scatter(panel: Axes, rows: list[Predicted], profiles: list[str]) -> None:
    values = np.array([(row.measured_s, row.predicted_s) for row in rows])
    low, high = 0.6 * values.min(), 1.7 * values.max()
    line = np.array([low, high])
    panel.fill_between(
        line, (1.0 - GOAL_P90) * line, (1.0 + GOAL_P90) * line, color="#dddddd", linewidth=0
    )
    panel.plot(line, line, color="#888888", linewidth=0.8)
    for index, profile in enumerate(profiles):
        mine = np.array([row.profile == profile for row in rows])
        panel.scatter(
            values[mine, 0],
            values[mine, 1],
            s=18,
            alpha=0.75,
            linewidth=0,
            label=profile,
            color=_COLOURS[index % len(_COLOURS)],
            marker=_MARKS[index % len(_MARKS)],
        )
    panel.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    panel.set_xlabel("measured, s")
    panel.set_ylabel("predicted, s")


def _distribution(panel: Axes, rows: list[Predicted], profiles: list[str]) -> None:
    for index, profile in enumerate(profiles):
        milliseconds = 1e3 * np.sort([row.measured_s for row in rows if row.profile == profile])
        share = np.arange(1, len(milliseconds) + 1) / max(1, len(milliseconds))
        panel.plot(milliseconds, share, color=_COLOURS[index % len(_COLOURS)], label=profile)
    panel.set_xlim(left=0.0)
    panel.set_xlabel("measured, ms (predicted: 0)")
    panel.set_ylabel("share of tasks")
