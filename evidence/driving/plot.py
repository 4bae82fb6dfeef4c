"""The picture of drives: the link over time, and below it what became of each policy's tasks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from evidence.driving.accounts import Account
from evidence.driving.run import Drives, DriveSettings
from offload.link_trace import LinkTrace

LOCAL, EDGE, BACK, LATE = "#0072B2", "#E69F00", "#CC79A7", "#D55E00"
"""Of Okabe and Ito's palette; each has a shape of its own too."""
_KINDS = (
    ("on the device", LOCAL, "o"),
    ("at the edge", EDGE, "^"),
    ("back from the edge", BACK, "s"),
)


def plot_drives(
    drives: Drives,
    accounts: Mapping[str, Account],
    settings: DriveSettings,
    title: str,
    path: Path,
) -> None:
    """Draw one panel a policy, all on one clock; the suffix of the path says the format."""
    tall = 0.9 if settings.trace is None else 1.3
    figure, axes = plt.subplots(
        len(accounts) + 1,
        1,
        figsize=(9, tall + 1.25 * len(accounts) + 1.2),
        sharex=True,
        height_ratios=[tall, *[1.25] * len(accounts)],
        layout="constrained",
    )
    due_s = np.array([arrival.due_s for arrival in drives.arrivals])
    ends_s = float(due_s[-1]) + 3.0
    _draw_link(axes[0], settings, ends_s)
    slowest_s = max(float(each.seconds.max()) for each in accounts.values())
    quickest_s = min(float(each.seconds.min()) for each in accounts.values())
    for panel, (name, each) in zip(axes[1:], accounts.items(), strict=True):
        _draw_tasks(panel, due_s, each)
        panel.set_yscale("log")
        panel.set_ylim(0.5 * quickest_s, 2.5 * slowest_s)
        panel.set_title(f"{name}: mean cost {each.cost.mean():.2f}", fontsize=9, loc="left", pad=3)
        panel.set_ylabel("s")
        panel.grid(axis="y", color="#dddddd", linewidth=0.5)
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
    axes[-1].set_xlabel("arrival of the task, s since the drive began")
    axes[-1].set_xlim(float(due_s[0]) - 1.0, ends_s)
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=label)
        for label, colour, marker in _KINDS
    ]
    handles.append(
        Line2D([], [], marker="o", linestyle="", markersize=9, fillstyle="none",
               color=LATE, label="after its deadline")
    )  # fmt: skip
    figure.suptitle(title, fontsize=11)
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw_tasks(axes: Axes, due_s: np.ndarray, each: Account) -> None:
    back = each.fell_back > 0
    edge = (each.to_edge > 0) & ~back
    for (_, colour, marker), chosen in zip(_KINDS, (each.to_edge == 0, edge, back), strict=True):
        axes.scatter(due_s[chosen], each.seconds[chosen], s=20, color=colour, marker=marker)
    late = each.missed > 0
    axes.scatter(
        due_s[late], each.seconds[late], s=80, facecolors="none", edgecolors=LATE, linewidths=1.2
    )


def _draw_link(axes: Axes, settings: DriveSettings, ends_s: float) -> None:
    trace, profile = settings.trace, settings.profile
    axes.set_ylabel("Mbit/s")
    if trace is None:
        times = np.array([0.0, ends_s])
        rates = [
            np.full(2, (side.rate_bps or np.nan) / 1e6)
            for side in (profile.uplink, profile.downlink)
        ]
    else:
        times, rows = _steps(trace, ends_s)
        rates = [column[rows] / 1e6 for column in (trace.uplink_bps, trace.downlink_bps)]
    for values, label, style in zip(rates, ("up", "down"), ("-", ":"), strict=True):
        axes.step(times, values, where="post", color="#333333", linestyle=style, label=label)
    axes.set_ylim(bottom=0.0)
    axes.set_title("link, as set", fontsize=9, loc="left", pad=3)
    axes.legend(fontsize=8, ncols=2, loc="upper right", frameon=False)


def _steps(trace: LinkTrace, ends_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Times at which a row of a trace begins that is replayed round and round, and the rows."""
    turns = int(ends_s // trace.end_s) + 1
    times = np.concatenate([trace.t_s + turn * trace.end_s for turn in range(turns)])
    rows = np.tile(np.arange(trace.rows), turns)
    kept = times < ends_s
    return np.append(times[kept], ends_s), np.append(rows[kept], rows[kept][-1])
