"""A table once, as the page shows it, as CSV and Parquet with all digits, and as LaTeX."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evidence.report.run_data import Interval

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in one place.

    Attributes:
        text: shown.
        spread: its interval, shown smaller; empty: none.
        words: it is no figure: it begins at the left.
    """

    text: str
    spread: str = ""
    words: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        name: of its files.
        caption: above it.
        headings: of the columns; the first column names the rows.
        rows: cells.
        data: the same and more, for files: columns of values, by name.
        note: below it.
        strong: indexes of rows to be marked.
        dense: it has many columns: shown smaller, intervals below their values.
    """

    name: str
    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    data: dict[str, list[Any]]
    note: str = ""
    strong: frozenset[int] = frozenset()
    dense: bool = False


def spread(interval: Interval | None, factor: float = 1.0, digits: int = 3, sign: str = "") -> Cell:
    """An interval as a cell; None: a dash."""
    if interval is None:
        return Cell("–")
    value, low, high = (f"{factor * number:{sign}.{digits}f}" for number in interval)
    return Cell(value, f"[{low}, {high}]")


def interval_columns(name: str, intervals: Sequence[Interval | None]) -> dict[str, list[Any]]:
    """Columns NAME, NAME_low and NAME_high."""
    return {
        f"{name}{end}": [None if each is None else each[index] for each in intervals]
        for index, end in enumerate(("", "_low", "_high"))
    }


def write_csv(table: Table, path: Path) -> None:
    """Write a table's data as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table.data)
        writer.writerows(zip(*table.data.values(), strict=True))


def write_latex(table: Table, path: Path) -> None:
    r"""Write a table as LaTeX; the document needs ``\usepackage{booktabs}``."""
    path.write_text(latex(table))


def latex(table: Table) -> str:
    """A table as a LaTeX float with booktabs rules."""
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_escaped(f'{table.caption} {table.note}'.strip())}}}",
        rf"  \label{{tab:{table.name}}}",
        rf"  \begin{{tabular}}{{l{'r' * (len(table.headings) - 1)}}}",
        r"    \toprule",
        f"    {' & '.join(map(_escaped, table.headings))} \\\\",
        r"    \midrule",
        *(f"    {' & '.join(map(_latex_cell, row))} \\\\" for row in table.rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_cell(cell: Cell) -> str:
    text = "--" if cell.text == "–" else _escaped(cell.text)
    return f"{text} {{\\scriptsize {_escaped(cell.spread)}}}" if cell.spread else text


def _escaped(text: str) -> str:
    kept = "".join(_LATEX.get(letter, letter) for letter in text)
    return kept.replace("–", "--").replace("»", r"\guillemotright{}")


def parquet_available() -> bool:
    """Whether pyarrow is installed (requirements-report.txt)."""
    return find_spec("pyarrow") is not None


def write_parquet(table: Table, path: Path) -> None:
    """Write a table's data as Parquet; needs pyarrow."""
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(table.data), path)


def csv_to_parquet(source: Path, path: Path) -> None:
    """Copy a CSV file as Parquet; needs pyarrow."""
    import pyarrow.csv
    from pyarrow import parquet

    parquet.write_table(pyarrow.csv.read_csv(source), path)
