"""The link as the device measured it, task by task, and where each task was placed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evidence.report.decisions import Rows
from evidence.report.figures.plate import PANEL_IN, Panel, Plate, logarithmic, new_panel, short
from evidence.report.palette import BLUE, GREY, INK, LEARNED, ORANGE, PURPLE, VERMILLION, family
from evidence.report.run_data import Result
from offload.types import IntArray

_MOST = 160
"""Tasks that are shown: more could not be told apart."""
_MOST_NARROW = 48
_WIDE_IN = 11.2
_MOST_POLICIES = 5
_SHARE = {"up": "uplink", "down": "downlink"}


def timeline(result: Result, shown: Sequence[Rows]) -> Plate:
    """A panel for a live run, or for each of the example scenarios of a simulated one."""
    panels = []
    for index, rows in enumerate(shown):
        count = min(len(rows), _MOST)
        panels.append(
            Panel(
                "timeline" if len(shown) == 1 else f"timeline-{index + 1}",
                _alt(result, rows, count),
                _draw(result, rows, count, _WIDE_IN),
                _draw(result, rows, min(count, _MOST_NARROW), PANEL_IN),
            )
        )
    most = max(len(rows) for rows in shown)
    first = f" The first {_MOST} of {most} tasks." if most > _MOST else ""
    caption = (
        "The link as the device knew it when each task came, and where each policy placed the "
        "task: a filled square is the edge, a small hollow one the device, a cross a placement "
        "that maui-true would not have chosen at that state. maui-true shows where the tasks "
        "should run."
        f"{first} On a narrow page the first {_MOST_NARROW}."
    )
    if result.live:
        caption += " Every task ran on both sides; a triangle is a remote run that was given up."
    else:
        links = ", ".join(rows.label for rows in shown if rows.label)
        caption += f" Example: the first scenario of {links}." if links else ""
    return Plate("timeline", caption, tuple(panels))


def _policies(result: Result) -> dict[str, str]:
    """Policies whose placements are shown, and the column of each."""
    known = [name for name in ("maui-true", "maui-measured") if name in result.policies]
    learned = [n for n in result.policies if family(n) is LEARNED]
    chosen = [*known, *learned][:_MOST_POLICIES]
    if not learned:
        chosen = list(dict.fromkeys([*chosen, *result.policies]))[:_MOST_POLICIES]
    return {name: result.columns_of(name)[0] for name in chosen}


def _draw(result: Result, rows: Rows, count: int, width_in: float) -> Figure:
    policies = _policies(result)
    heights = [1.0, 0.8, 0.5, *([1.0] if result.live else []), 0.22 * len(policies) + 0.1]
    figure, axes = new_panel(
        sum(heights) + 0.75,
        width_in,
        rows=len(heights),
        sharex=True,
        gridspec_kw={"height_ratios": heights},
    )
    x = np.arange(1, count + 1)
    _link(axes, rows, x)
    if result.live:
        _sides(axes[3], rows, x)
    _placements(axes[-1], rows, x, policies, width_in)
    for one in axes[:-1]:
        one.grid(axis="y")
    axes[-1].set_xlim(0.2, count + 0.8)
    axes[-1].set_xlabel("task")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.align_ylabels(list(axes))
    if rows.label:
        figure.suptitle(rows.label, fontsize=9, fontweight="bold", x=0.01, ha="left")
    return figure


def _link(axes: Sequence[Axes], rows: Rows, x: IntArray) -> None:
    rate, rtt, loss = axes[:3]
    for name, colour, line in (("up", VERMILLION, "-"), ("down", BLUE, (0, (4, 1.5)))):
        values = rows.numbers(f"{name}link_bps")[: len(x)] / 1e6
        rate.step(x, values, where="mid", color=colour.light, linestyle=line, label=_SHARE[name])
    low, high = rate.dataLim.intervaly
    rate.set_ylim(low / 1.6, high * 1.6)
    logarithmic(rate, "y")
    rate.set_ylabel("Mbit/s")
    _legend(rate)
    rtt_ms = 1e3 * rows.numbers("rtt_s")[: len(x)]
    jitter_ms = 1e3 * rows.numbers("jitter_s")[: len(x)]
    rtt.step(x, rtt_ms, where="mid", color=INK.light, label="round trip")
    rtt.fill_between(
        x,
        np.maximum(rtt_ms - jitter_ms, 0.0),
        rtt_ms + jitter_ms,
        step="mid",
        color=GREY.light,
        alpha=0.4,
        linewidth=0,
        label="± jitter",
    )
    rtt.set_ylim(bottom=0.0)
    rtt.set_ylabel("ms")
    _legend(rtt)
    loss.step(
        x, 1e2 * rows.numbers("loss")[: len(x)], where="mid", color=PURPLE.light, label="loss"
    )
    loss.set_ylim(bottom=0.0)
    loss.set_ylabel("%")
    _legend(loss)


def _legend(axes: Axes) -> None:
    axes.legend(
        loc="lower left", bbox_to_anchor=(0.0, 0.97), ncols=3, borderaxespad=0.0, borderpad=0.1
    )


def _sides(axes: Axes, rows: Rows, x: IntArray) -> None:
    local = rows.numbers("local_measured_s")[: len(x)]
    edge = rows.numbers("edge_measured_seconds")[: len(x)]
    given_up = np.isnan(edge)
    axes.plot(
        x, local, "o", color=ORANGE.light, markersize=3, markerfacecolor="none", label="device"
    )
    axes.plot(x[~given_up], edge[~given_up], "s", color=BLUE.light, markersize=2.6, label="edge")
    if given_up.any():
        budget = rows.numbers("budget_s")[: len(x)]
        axes.plot(
            x[given_up],
            budget[given_up],
            "^",
            color=VERMILLION.light,
            markersize=3,
            label="given up",
        )
    logarithmic(axes, "y")
    axes.set_ylabel("s")
    _legend(axes)


def _placements(
    axes: Axes, rows: Rows, x: IntArray, policies: dict[str, str], width_in: float
) -> None:
    size = float(np.clip(170.0 * width_in / PANEL_IN / len(x), 4.0, 34.0))
    for row, (name, column) in enumerate(policies.items()):
        placed = rows.numbers(f"{column}:placement")[: len(x)]
        optimum = rows.numbers(f"{column}:optimum")[: len(x)]
        at_edge, wrong = placed == 1, placed != optimum
        colour = family(name).colour.light
        axes.scatter(
            x[at_edge], np.full(at_edge.sum(), row), size, colour, marker="s", linewidths=0
        )
        axes.scatter(
            x[~at_edge],
            np.full((~at_edge).sum(), row),
            size * 0.35,
            facecolors="none",
            edgecolors=GREY.light,
            marker="s",
            linewidths=0.6,
        )
        axes.scatter(
            x[wrong], np.full(wrong.sum(), row), size * 1.5, INK.light, marker="x", linewidths=0.9
        )
    axes.set_yticks(range(len(policies)), [short(name) for name in policies])
    axes.set_ylim(len(policies) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _alt(result: Result, rows: Rows, count: int) -> str:
    said = []
    for name, column in _policies(result).items():
        placed = rows.numbers(f"{column}:placement")[:count]
        wrong = int((placed != rows.numbers(f"{column}:optimum")[:count]).sum())
        said.append(f"{name} placed {int(placed.sum())} at the edge, {wrong} against maui-true")
    rtt_ms = 1e3 * np.median(rows.numbers("rtt_s")[:count])
    up_mbps = np.median(rows.numbers("uplink_bps")[:count]) / 1e6
    return (
        f"Timeline of {count} tasks: median round trip {rtt_ms:.3g} ms, uplink {up_mbps:.3g} "
        f"Mbit/s. {'; '.join(said)}."
    )
