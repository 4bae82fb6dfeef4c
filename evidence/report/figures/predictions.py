"""Predicted against measured seconds, a panel a component."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evidence.report.figures.plate import (
    Panel,
    Plate,
    file_name,
    logarithmic,
    new_panel,
    short,
    title,
)
from evidence.report.palette import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
)
from evidence.report.prediction_data import Component, shown

FLOOR_S = 1e-4
"""Shorter times are drawn here: on a logarithmic axis there is no zero."""
_BAND = 1.25
_LOOKS = (
    (BLUE, "o"), (VERMILLION, "s"), (GREEN, "^"), (PURPLE, "D"),
    (ORANGE, "v"), (SKY, "P"), (GREY, "X"), (INK, "*"),
)  # fmt: skip
_MOST_POINTS = 400


def predictions(components: Sequence[Component]) -> Plate:
    """A panel for each component, tasks of a kind by colour and marker."""
    drawn = shown(components)
    kinds = tuple(sorted({task.partition("/")[0] for c in drawn for task in c.tasks}))
    panels = tuple(
        _panel(number, component, kinds)
        for number, component in enumerate(drawn, start=1)
        if component.tasks
    )
    return Plate(
        "predictions",
        "Seconds the model predicted against seconds measured, a point a task; beside each name "
        "what they were predicted from (see the table). On the line they agree; within the band "
        "they differ by a quarter at most. Times "
        f"below {1e3 * FLOOR_S:g} ms are drawn at {1e3 * FLOOR_S:g} ms. Remote runs that were "
        "given up have no measured seconds and are left out.",
        (*panels, _key(kinds)),
    )


def _panel(number: int, component: Component, kinds: Sequence[str]) -> Panel:
    figure, (axes,) = new_panel(2.9)
    predicted = np.maximum(component.predicted_s, FLOOR_S)[:_MOST_POINTS]
    measured = np.maximum(component.measured_s, FLOOR_S)[:_MOST_POINTS]
    low = 0.7 * min(predicted.min(), measured.min())
    high = 1.4 * max(predicted.max(), measured.max())
    ends = np.array([low, high])
    axes.fill_between(ends, ends / _BAND, ends * _BAND, color=GREY.light, alpha=0.25, linewidth=0)
    axes.plot(ends, ends, color=INK.light, linewidth=0.8)
    own = np.array([task.partition("/")[0] for task in component.tasks])[:_MOST_POINTS]
    for kind, (colour, marker) in zip(
        kinds, _LOOKS * (len(kinds) // len(_LOOKS) + 1), strict=False
    ):
        mine = own == kind
        axes.plot(
            measured[mine], predicted[mine], marker, color=colour.light, markersize=4, alpha=0.85,
            markeredgewidth=0,
        )  # fmt: skip
    axes.set(xlim=(low, high), ylim=(low, high))
    logarithmic(axes, "x")
    logarithmic(axes, "y")
    axes.set_aspect("equal")
    axes.set_xlabel("measured, s")
    axes.set_ylabel("predicted, s")
    axes.grid()
    title(axes, component.name)
    axes.set_title(f"from {component.basis}", loc="right", fontsize=7)
    errors = component.errors
    said = (
        f"median error {np.median(errors):.0%}, nine in ten within {np.percentile(errors, 90):.0%}"
        if len(errors)
        else "no time was measured"
    )
    return Panel(
        f"predicted-{file_name(number, component.name)}",
        f"Scatter of predicted against measured seconds of {component.name}, "
        f"{len(component.tasks)} tasks: {said}.",
        figure,
    )


def _key(kinds: Sequence[str]) -> Panel:
    figure, (axes,) = new_panel(0.2 * -(-len(kinds) // 3) + 0.15)
    axes.axis("off")
    for kind, (colour, marker) in zip(
        kinds, _LOOKS * (len(kinds) // len(_LOOKS) + 1), strict=False
    ):
        axes.plot([], [], marker, color=colour.light, markersize=5, label=short(kind))
    axes.legend(loc="center left", ncols=3, columnspacing=1.4)
    return Panel("predicted-key", f"Key: task kinds {', '.join(kinds)}.", figure)
