"""The table of results, and the same as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from agents.run_directory import origin, write_json
from evidence.chaos.result import RowResult

RESULTS = "chaos.json"
TABLE = "chaos.md"
_HEADER = ("row", "count", "required", "seen", "verdict", "seconds")


def table(results: Sequence[RowResult]) -> str:
    """A Markdown table: a line for each row, then one for each thing it had to show."""
    lines = [f"| {' | '.join(_HEADER)} |", f"| {' | '.join('---' for _ in _HEADER)} |"]
    for result in results:
        lines += [f"| {' | '.join(cells)} |" for cells in _cells(result)]
    return "\n".join(lines) + "\n"


def write_report(folder: Path, results: Sequence[RowResult]) -> None:
    """Write the table, and the results with where they come from."""
    (folder / TABLE).write_text(table(results))
    rows = [{**msgspec.to_builtins(result), "passed": result.passed} for result in results]
    write_json(folder / RESULTS, {"origin": origin(), "rows": rows})


def complaints(results: Sequence[RowResult]) -> list[str]:
    """What is wrong with the rows that have not passed, a line each."""
    lines: list[str] = []
    for result in results:
        if result.error:
            lines.append(f"{result.name}: {result.error}")
        if result.void:
            lines.append(
                f"{result.name}: void, the machine was too busy: it alone held up {result.excused}"
                f" of {result.promised} tasks with a deadline; run it again with less beside it"
            )
        lines += [f"{result.name}: {example}" for example in result.examples]
        lines += [
            f"{result.name}: {bound.what}: {bound.seen}, required: {bound.required}"
            for bound in result.bounds
            if not bound.holds
        ]
    return lines


def _cells(result: RowResult) -> list[tuple[str, ...]]:
    verdict = "**pass**" if result.passed else "**void**" if result.void else "**FAIL**"
    first = (f"**{result.name}**: {result.fault}", f"{result.count:,} {result.unit}")
    if result.error:
        return [(*first, "to be carried out", result.error, verdict, f"{result.seconds:.0f}")]
    rows: list[tuple[str, ...]] = [(*first, *_invariants(result), verdict, f"{result.seconds:.0f}")]
    for bound in result.bounds:
        held = "" if bound.required == "-" else "pass" if bound.holds else "**FAIL**"
        rows.append(("", "", f"{bound.what}: {bound.required}", bound.seen, held, ""))
    return rows


def _invariants(result: RowResult) -> tuple[str, str]:
    broken = [f"{rule} {count}" for rule, count in result.broken.items() if count]
    seen = ", ".join(broken) or "all hold"
    if result.promised:
        seen += f"; {result.promised:,} with a deadline, {result.excused} of them held up"
        seen += " by the machine"
    return "every invariant", f"{seen}; {result.tasks:,} tasks"
