"""What a comparison shows and writes: agreement.csv, agreement.json, agreement.png, two tables."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from rich.console import Console
from rich.table import Table

from agents.plain_table import plain_table
from agents.report import write_columns
from agents.run_directory import write_json
from evidence.agreement.compare import Agreement
from evidence.agreement.errors import GOAL_ACCURACY_GAP, GOAL_MEDIAN, GOAL_P90, Errors
from evidence.agreement.predictions import COMPONENTS, WAYS, Predicted

CSV_NAME = "agreement.csv"
JSON_NAME = "agreement.json"
PLOT_NAME = "agreement.png"


def write_agreement(agreement: Agreement, folder: Path) -> None:
    """Write the rows, the summary and the plot."""
    from evidence.agreement.plot import plot_agreement

    columns: dict[str, list[object]] = {
        field.name: [getattr(row, field.name) for row in agreement.rows]
        for field in fields(Predicted)
    }
    for name in ("predicted_s", "measured_s"):
        columns[name] = [f"{value:.6g}" for value in columns[name]]
    columns["given_up"] = [int(bool(value)) for value in columns["given_up"]]
    write_columns(folder / CSV_NAME, columns)
    write_json(folder / JSON_NAME, agreement.as_dict())
    plot_agreement(agreement, folder / PLOT_NAME)


def print_agreement(agreement: Agreement, console: Console) -> None:
    """Print the errors by component and the accuracies, and where the goal is missed."""
    console.print(_errors_table(agreement))
    if agreement.given_up and agreement.foreseen is not None:
        console.print(
            f"{agreement.given_up} remote runs were given up; the prediction has "
            f"{agreement.foreseen:.0%} of them beyond their budget",
            highlight=False,
        )
    if agreement.accuracy:
        console.print(_accuracy_table(agreement))
    goal = (
        f"goal: median {GOAL_MEDIAN:.0%}, p90 {GOAL_P90:.0%} of the total, accuracy within "
        f"{100 * GOAL_ACCURACY_GAP:.0f} points"
    )
    console.print(f"{goal}: {'missed' if agreement.missed else 'kept'}", highlight=False)
    for line in agreement.missed:
        console.print(f"  {line}", highlight=False)


def _errors_table(agreement: Agreement) -> Table:
    pairs = len({(row.run, row.pair) for row in agreement.rows})
    table = plain_table(
        f"simulated against measured, {pairs} tasks on both sides",
        "Median / p90 of |predicted / measured - 1| in %, and in brackets the median of "
        "ln(predicted / measured). First word, the link: as set, or as the device measured it. "
        "Second, the task: as hard as its kind and size say (table), or as this very one proved on "
        "the device (own). Luck: the error of set/table that the simulator itself expects, by the "
        "spread it draws. Queue: the server's own time; it is predicted to be none.",
        "component",
        *("n", "measured", "off by"),
        *(f"{link}/{hard}" for link, hard in WAYS),
        "luck",
    )
    for component in COMPONENTS:
        found = {way: parts.get(component) for way, parts in agreement.errors.items()}
        first = next((errors for errors in found.values() if errors is not None), None)
        if first is None:
            continue
        own = agreement.luck.get(component)
        table.add_row(
            component,
            str(first.n),
            f"{1e3 * first.median_measured_s:.1f} ms",
            f"{1e3 * first.median_off_s:.1f} ms",
            *(_told(found[f"{link}/{hard}"]) for link, hard in WAYS),
            "-" if own is None else f"{100 * own[0]:.0f} / {100 * own[1]:.0f}",
        )
    return table


def _told(errors: Errors | None) -> str:
    if errors is None or errors.bias is None:
        return "-"
    return f"{100 * errors.median:.0f} / {100 * errors.p90:.0f} ({errors.bias:+.2f})"


def _accuracy_table(agreement: Agreement) -> Table:
    table = plain_table(
        "decision accuracy: the same choices, live and in simulated worlds",
        "Gap: simulated less live, in points, with its 95 % bootstrap interval over tasks.",
        "policy", "live %", "simulated %", "gap",
    )  # fmt: skip
    for name, found in agreement.accuracy.items():
        gap, low, high = (f"{100 * number:+.1f}" for number in found.gap.as_list())
        table.add_row(
            name,
            f"{100 * found.live:.1f}",
            f"{100 * found.simulated:.1f}",
            f"{gap} [{low}, {high}]",
        )
    return table
