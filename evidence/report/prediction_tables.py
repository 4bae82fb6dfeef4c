"""Tables of simulated against measured: seconds and accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evidence.report.prediction_data import Component, LiveAccuracy
from evidence.report.table import Cell, Table, interval_columns, spread


def predictions_table(components: Sequence[Component]) -> Table:
    """Errors of the predictions: a row a component and what it was predicted from."""
    rows = []
    names = ("component", "basis", "tasks", "median_error", "p90_error", "median_ratio")
    data: dict[str, list[Any]] = {name: [] for name in names}
    for each in components:
        errors = each.errors
        some = each.measured_s > 0.0
        ratios = each.predicted_s[some] / each.measured_s[some]
        known = len(errors) > 0
        values = (
            float(np.median(errors)) if known else None,
            float(np.percentile(errors, 90)) if known else None,
            float(np.median(ratios)) if known else None,
        )
        rows.append(
            (
                Cell(each.name),
                Cell(each.basis, words=True),
                Cell(str(len(each.tasks))),
                *(Cell("–" if v is None else f"{100 * v:.0f}") for v in values[:2]),
                Cell("–" if values[2] is None else f"{values[2]:.2f}"),
            )
        )
        for name, value in zip(
            data, (each.name, each.basis, len(each.tasks), *values), strict=True
        ):
            data[name].append(value)
    return Table(
        name="predictions",
        caption="Error of the predicted seconds",
        headings=(
            "component",
            "predicted from",
            "tasks",
            "median %",
            "p90 %",
            "ratio",
        ),
        rows=tuple(rows),
        data=data,
        note="|predicted - measured| / measured; ratio: predicted over measured, its median. "
        "Predicted from: first the link, as set or as the device had measured it; then how hard "
        "the task is, as the table says of its kind and size or as this very one proved on the "
        "device (own). Remote runs that were given up are left out.",
    )


def live_accuracy_table(accuracies: dict[str, LiveAccuracy]) -> Table:
    """Accuracy of the same choices live and in simulation: a row a policy."""
    data: dict[str, list[Any]] = {
        "policy": list(accuracies),
        "live": [each.live for each in accuracies.values()],
        "simulated": [each.simulated for each in accuracies.values()],
        **interval_columns("gap", [each.gap for each in accuracies.values()]),
    }
    return Table(
        name="live-accuracy",
        caption="Accuracy, live and simulated",
        headings=("policy", "live %", "simulated %", "gap, points"),
        rows=tuple(
            (
                Cell(name),
                Cell(f"{100 * each.live:.1f}"),
                Cell(f"{100 * each.simulated:.1f}"),
                spread(each.gap, 100.0, 1, sign="+"),
            )
            for name, each in accuracies.items()
        ),
        data=data,
        note="The same choices in the live run and in simulated worlds. Gap: simulated less live, "
        "with its 95 % bootstrap interval over tasks.",
    )
