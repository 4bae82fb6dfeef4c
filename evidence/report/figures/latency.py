"""Distribution of completion times: the two sides, and the policies of each kind."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import numpy as np

from agents.simulation import ORACLE
from evidence.report.figures.plate import Panel, Plate, logarithmic, new_panel, short, title
from evidence.report.palette import (
    BLUE,
    FIXED,
    GREEN,
    GREY,
    INK,
    LEARNED,
    MAUI,
    MUTED,
    OPTIMUM,
    ORANGE,
    PURPLE,
    RIVAL,
    SKY,
    THRESHOLD,
    VERMILLION,
    family,
)
from evidence.report.run_data import Result
from offload.types import FloatArray

_POINTS = 240
_SIDES = ("always-local", "always-edge")
_GROUPS = (
    ("rules", "Fixed rules", (FIXED, THRESHOLD)),
    ("estimates", "MAUI, bandit, imitators", (MAUI, RIVAL)),
    ("learned", "Learned, and the optimum", (LEARNED, OPTIMUM)),
)
_LOOKS = (
    (ORANGE, "-"),
    (BLUE, (0, (5, 1.6))),
    (VERMILLION, (0, (5, 1.4, 1, 1.4))),
    (GREEN, (0, (1.6, 1.2))),
    (PURPLE, (0, (8, 2))),
    (SKY, (0, (3, 1, 1, 1, 1, 1))),
    (MUTED, (0, (2, 2))),
)


def latency(result: Result, seconds: dict[str, FloatArray]) -> Plate:
    """A panel for each kind of policy, always-local and always-edge in grey behind.

    Args:
        seconds: completion times by policy, rising.
    """
    low = min(float(np.percentile(values, 0.5)) for values in seconds.values())
    high = max(float(np.percentile(values, 99.8)) for values in seconds.values())
    panels = []
    same: list[str] = []
    for name, heading, families in _GROUPS:
        own = [policy for policy in seconds if family(policy) in families]
        alike = _alike(own, seconds)
        same += [f"{first} with {', '.join(rest)}" for first, *rest in alike if rest]
        if alike:
            firsts = [first for first, *_ in alike]
            panels.append(_panel(name, heading, firsts, seconds, (low, high)))
    what = "measured" if result.live else "modelled"
    caption = (
        f"Share of tasks done within a time ({what}; the time axis is logarithmic). always-"
        "local and always-edge stand in grey behind the others."
    )
    if same:
        caption += f" The same on every task, and drawn once: {'; '.join(same)}."
    return Plate("latency", caption, tuple(panels))


def _alike(policies: Sequence[str], seconds: dict[str, FloatArray]) -> list[list[str]]:
    """Policies grouped by equal times, in their order."""
    groups: list[list[str]] = []
    for policy in policies:
        for group in groups:
            if np.array_equal(seconds[group[0]], seconds[policy]):
                group.append(policy)
                break
        else:
            groups.append([policy])
    return groups


def _panel(
    name: str,
    heading: str,
    policies: Sequence[str],
    seconds: dict[str, FloatArray],
    span: tuple[float, float],
) -> Panel:
    figure, (axes,) = new_panel(2.75)
    for level in (0.5, 0.95):
        axes.axhline(level, color=MUTED.light, linewidth=0.6, linestyle=(0, (1, 2)))
    for side in _SIDES:
        if side in seconds and side not in policies:
            axes.plot(*steps(seconds[side]), color=GREY.light, linewidth=0.9, alpha=0.65)
    looks = cycle(_LOOKS)
    for policy in policies:
        curve = steps(seconds[policy])
        if policy == ORACLE:  # broad and behind, since good policies nearly hide it
            axes.plot(
                *curve, color=INK.light, alpha=0.3, linewidth=4.0, zorder=1.9, label=short(policy)
            )
        else:
            colour, line = next(looks)
            axes.plot(
                *curve, color=colour.light, linestyle=line, linewidth=1.4, label=short(policy)
            )
    axes.set_xlim(*span)
    logarithmic(axes, "x")
    axes.set_ylim(0.0, 1.01)
    axes.set_yticks([0.0, 0.25, 0.5, 0.75, 0.95], ["0", "25 %", "50 %", "75 %", "95 %"])
    axes.set_xlabel("completion time, s")
    axes.grid(axis="x")
    title(axes, heading)
    figure.legend(loc="outside lower left", ncols=2, handlelength=2.6, columnspacing=1.2)
    said = "; ".join(
        f"{policy}: half within {np.percentile(seconds[policy], 50):.3g} s, "
        f"95 % within {np.percentile(seconds[policy], 95):.3g} s"
        for policy in policies
    )
    return Panel(f"latency-{name}", f"Distribution of completion times. {said}.", figure)


def steps(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The empirical distribution of rising values, by at most so many points as can be seen.

    Returns:
        times, and the share of values up to each.
    """
    if len(values) <= _POINTS:
        share = np.arange(len(values) + 1) / len(values)
        return np.repeat(values, 2), np.repeat(share, 2)[1:-1]
    levels = np.concatenate([np.linspace(0.0, 0.98, _POINTS), np.linspace(0.9801, 1.0, 40)])
    return np.quantile(values, levels), levels
