"""``python -m offload.tasks.profile_report``: a profile table as text, for people.

Without an argument it prints the shipped table as Markdown, as docs/tasks.md shows it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from offload.errors import OffloadError
from offload.tasks.profile_table import ProfileRow, ProfileTable, load_profile_table

HEADINGS = (
    "task", "size", "device ms", "edge ms", "ratio", "spread", "bytes in", "bytes out",
    "break-even Mbit/s",
)  # fmt: skip


@dataclass(frozen=True)
class ReportConfig:
    """Print a profile table as Markdown."""

    table: Path | None = None
    """File to read; the shipped table if not given."""


def cells(row: ProfileRow) -> tuple[str, ...]:
    """One row as text, in the order of :data:`HEADINGS`."""
    return (
        row.kind,
        row.size,
        _three_digits(row.local_s * 1e3),
        _three_digits(row.edge_s * 1e3),
        f"{row.local_s / row.edge_s:.2f}",
        f"{row.edge_spread:.2f}",
        f"{row.input_bytes:.0f}",
        f"{row.output_bytes:.0f}",
        _three_digits(break_even_bps(row) / 1e6),
    )


def break_even_bps(row: ProfileRow) -> float:
    """Bit/s above which sending pays, RTT left out: all the bytes in the time that it saves.

    Infinite where the edge is no faster.
    """
    saved_s = row.local_s - row.edge_s
    return 8.0 * (row.input_bytes + row.output_bytes) / saved_s if saved_s > 0 else float("inf")


def as_markdown(table: ProfileTable) -> str:
    """The table and under which circumstances it was measured."""
    lines = ["| " + " | ".join(HEADINGS) + " |"]
    lines.append("| --- | --- |" + " ---: |" * (len(HEADINGS) - 2))
    lines += ["| " + " | ".join(cells(row)) + " |" for row in table.rows]
    lines += [
        "",
        f"`{table.command}`, {table.created[:10]}, {table.machine}, device {table.slowdown:g} "
        f"times slower. Method: {table.method}.",
    ]
    return "\n".join(lines)


def _three_digits(value: float) -> str:
    """Three significant digits without an exponent."""
    return f"{float(f'{value:.3g}'):.10f}".rstrip("0").rstrip(".")


def main() -> int:
    """The command line; 0, or 2 after one line about what was wrong."""
    import tyro

    config = tyro.cli(ReportConfig, prog="python -m offload.tasks.profile_report")
    try:
        print(as_markdown(load_profile_table(config.table)))
    except OffloadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
