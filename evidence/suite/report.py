"""What the suite shows and writes: the table of key figures, kpis.csv, kpis.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from agents.plain_table import plain_table
from agents.report import write_columns
from evidence.suite.kpis import Kpi


class KeyFigures:
    """All figures of a suite, to be looked up.

    Args:
        rows: of every link.
        links: in the order of the tables.
    """

    def __init__(self, rows: Sequence[Kpi], links: Sequence[str]) -> None:
        self.rows = rows
        self.links = links
        self.policies = tuple(dict.fromkeys(row.policy for row in rows if row.policy))
        self._found = {(row.link, row.kpi, row.policy): row for row in rows}

    def get(self, link: str, kpi: str, policy: str = "") -> Kpi | None:
        """The figure; None: it was not measured."""
        return self._found.get((link, kpi, policy))

    def text(self, link: str, kpi: str, scale: float = 1.0, digits: int = 2) -> str:
        """The figure for a table, in its unit times ``scale``; a dash where there is none."""
        found = self.get(link, kpi)
        return "-" if found is None else f"{scale * found.value:.{digits}f}"


_PAIRS = (
    ("RTT ms", ("rtt_set", "rtt_probed"), 1e3, 0),
    ("up Mbit/s", ("uplink_set", "uplink_probed"), 1e-6, 1),
    ("task s", ("latency_local", "latency_offloaded"), 1.0, 2),
    ("energy J", ("energy_local", "energy_offloaded"), 1.0, 1),
    ("flow Mbit/s", ("flow_alone", "flow_with_offloading"), 1e-6, 2),
    ("offload s", ("offload_alone", "offload_with_flow"), 1.0, 2),
)


def print_tables(
    figures: KeyFigures, void: Mapping[str, str], title: str, console: Console
) -> None:
    """Print the key figures of every link, and every policy's accuracy on it."""
    table = plain_table(
        title,
        "RTT, up: set / probed, median. Task: on the device / offloaded, median over the same "
        "tasks (given up: its budget and a local run). Energy: on the device / offloaded, mean a "
        "task, modelled. Flow: a competing upload alone / while the device offloads. Offload: one "
        "43 kB task alone / beside that flow, median. Intervals and n: kpis.csv.",
        "link",
    )
    for heading, *_ in _PAIRS:
        table.add_column(heading, justify="right", no_wrap=True)
    for link in figures.links:
        if link in void:
            table.add_row(link, "void")
            continue
        table.add_row(
            link,
            *(
                " / ".join(figures.text(link, kpi, scale, digits) for kpi in pair)
                for _, pair, scale, digits in _PAIRS
            ),
        )
    console.print(table)
    counted = [link for link in figures.links if link not in void]
    accuracy = plain_table(
        "decision accuracy, %",
        "Agreement with the MAUI optimum on the true state, on the tasks of each link.",
        "policy",
    )
    for link in counted:
        accuracy.add_column(link.replace("_", " "), justify="right")
    for policy in figures.policies:
        cells = [figures.get(link, "accuracy", policy) for link in counted]
        accuracy.add_row(policy, *("-" if c is None else f"{100 * c.value:.0f}" for c in cells))
    console.print(accuracy)


def write_kpis(folder: Path, rows: Sequence[Kpi]) -> None:
    """Write kpis.csv, a line a figure."""
    lines = [row.as_dict() for row in rows]
    columns: dict[str, list[Any]] = {name: [] for name in Kpi.__slots__}
    for line in lines:
        for name, value in line.items():
            shown = f"{value:.6g}" if isinstance(value, float) else value
            columns[name].append("" if shown is None else shown)
    write_columns(folder / "kpis.csv", columns)
