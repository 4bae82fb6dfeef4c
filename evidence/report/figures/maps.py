"""Decision maps: the optimum's, and each learned policy's beside it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path

from agents.decision_map import DEADLINE_SLACK, LOSS, RADIO
from agents.simulation import ORACLE
from evidence.report.figures.plate import PANEL_IN, Panel, Plate, file_name, new_panel, short
from evidence.report.map_data import DecisionMaps
from evidence.report.palette import BLUE, INK, ORANGE, PAPER, STAY, VERMILLION, Colour
from offload.link_profiles import PROFILES
from offload.types import FloatArray, IntArray

_RTT_TICKS_S = {1e-2: "10", 1e-1: "100", 1.0: "1 s"}
_RATE_TICKS_BPS = {1e5: "0.1", 1e6: "1", 1e7: "10", 1e8: "100", 1e9: "1000"}
_HEIGHT_IN = 1.8


def maps(found: DecisionMaps) -> Plate:
    """A panel a task kind: maui-true, then each learned policy."""
    panels = tuple(_panel(found, index) for index in range(len(found.kinds)))
    differ = ", ".join(
        f"{name} at {np.mean(placed != found.optimum):.1%}"
        for name, placed in found.policies.items()
    )
    caption = (
        "Where the optimum offloads and where the learned policies do, over round-trip time and "
        f"bandwidth (symmetric). Of all points they differ from maui-true: {differ}. Everything "
        f"else is held still: a fresh estimate, {RADIO} radio asleep, idle device and edge, loss "
        f"{LOSS:.1%}, deadline {DEADLINE_SLACK:g} times the device's seconds. Points: the network "
        "profiles. Modelled, not measured."
    )
    return Plate("decision-maps", caption, (*panels, _key()))


def _panel(found: DecisionMaps, index: int) -> Panel:
    columns = {ORACLE: found.optimum[index]}
    columns |= {name: placed[index] for name, placed in found.policies.items()}
    figure, axes = new_panel(_HEIGHT_IN, columns=len(columns), sharey=True)
    optimum = found.optimum[index]
    said = []
    for one, (name, placed) in zip(axes, columns.items(), strict=True):
        _draw(one, found, placed, optimum)
        share = np.mean(placed != optimum)
        one.set_title(short(name), fontsize=7.5)
        said.append(f"{name} offloads at {np.mean(placed):.0%} of the points")
        if name != ORACLE:
            one.set_xlabel(f"{share:.1%} differ", fontsize=6.5, labelpad=1.5)
            said.append(f"differing from {ORACLE} at {share:.1%}")
    axes[0].set_ylabel("bandwidth, Mbit/s", fontsize=7)
    figure.supxlabel("round-trip time, ms", fontsize=7)
    figure.suptitle(found.kinds[index], fontsize=9, fontweight="bold", x=0.01, ha="left")
    return Panel(
        f"map-{file_name(index + 1, found.kinds[index].partition(',')[0])}",
        f"Decision maps of {found.kinds[index]}: {'; '.join(said)}.",
        figure,
    )


def _draw(axes: Axes, found: DecisionMaps, placed: IntArray, optimum: IntArray) -> None:
    x_edges, y_edges = _edges(found.rtt_s), _edges(found.rate_bps)
    for colour, hatch, cells in (
        (STAY, "", (placed == 0) & (optimum == 0)),
        (BLUE, "", (placed == 1) & (optimum == 1)),
        (VERMILLION, "////", (placed == 1) & (optimum == 0)),
        (ORANGE, "\\\\\\\\", (placed == 0) & (optimum == 1)),
    ):
        _fill(axes, cells, x_edges, y_edges, colour, hatch)
    profiles = [
        (profile.uplink.delay_s + profile.downlink.delay_s, profile.uplink.rate_bps)
        for profile in PROFILES.values()
        if profile.uplink.rate_bps
    ]
    dots = np.log10([(rtt_s, rate) for rtt_s, rate in profiles if rtt_s > 0.0])
    axes.plot(
        *dots.T,
        "o",
        markersize=2.6,
        markerfacecolor=INK.light,
        markeredgecolor=PAPER.light,
        markeredgewidth=0.5,
    )
    axes.set_xlim(x_edges[0], x_edges[-1])
    axes.set_ylim(y_edges[0], y_edges[-1])
    axes.set_xticks(np.log10(list(_RTT_TICKS_S)), list(_RTT_TICKS_S.values()), fontsize=6.5)
    axes.set_yticks(np.log10(list(_RATE_TICKS_BPS)), list(_RATE_TICKS_BPS.values()), fontsize=6.5)
    axes.tick_params(length=2)


def _edges(values: FloatArray) -> FloatArray:
    """Borders of the cells around values that are evenly spaced in the logarithm."""
    logs = np.log10(values)
    half = (logs[1] - logs[0]) / 2
    return np.concatenate([[logs[0] - half], logs + half])


def _fill(
    axes: Axes,
    cells: IntArray,
    x_edges: FloatArray,
    y_edges: FloatArray,
    colour: Colour,
    hatch: str,
) -> None:
    """Fill cells as one path of a rectangle for each run of neighbours in a row."""
    corners, codes = [], []
    for row, line in enumerate(cells):
        ends = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(int), [0]])))
        for start, stop in ends.reshape(-1, 2):
            left, right = x_edges[start], x_edges[stop]
            low, high = y_edges[row], y_edges[row + 1]
            corners += [(left, low), (right, low), (right, high), (left, high), (left, low)]
            codes += [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    if corners:
        axes.add_patch(
            PathPatch(
                Path(corners, codes),
                facecolor=colour.light,
                edgecolor=INK.light if hatch else "none",
                linewidth=0,
                hatch=hatch,
                antialiased=False,
            )
        )


def _key() -> Panel:
    figure, (axes,) = new_panel(1.15, PANEL_IN)
    axes.axis("off")
    rows = (
        (STAY, "", "device, as maui-true"),
        (BLUE, "", "edge, as maui-true"),
        (VERMILLION, "////", "edge, where the device is better"),
        (ORANGE, "\\\\\\\\", "device, where the edge is better"),
    )
    patches = [
        Patch(facecolor=colour.light, edgecolor=INK.light, linewidth=0.4, hatch=hatch, label=label)
        for colour, hatch, label in rows
    ]
    axes.legend(handles=patches, loc="center left", handlelength=2.2, handleheight=1.3)
    return Panel("map-key", f"Key: {', '.join(label for _, _, label in rows)}.", figure)
