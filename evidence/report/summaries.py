"""Tables of what other folders than an evaluation's hold: a drive's scores, a suite's figures."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evidence.report.table import Cell, Table
from offload.errors import ConfigError

KPIS_NAME = "kpis.csv"
_NEEDED = ("link", "kpi", "policy", "value", "low", "high", "unit", "kind")
_MOST_LINES = 20_000


def scores_table(policies: Mapping[str, Any]) -> Table | None:
    """The ``policies`` of a summary.json, a row each; None: they are no scores."""
    names = list(dict.fromkeys(key for each in policies.values() if isinstance(each, dict)
                               for key in each))  # fmt: skip
    if not names or not all(isinstance(each, dict) for each in policies.values()):
        return None
    return Table(
        name="scores",
        caption="Scores",
        headings=("policy", *(_heading(name) for name in names)),
        rows=tuple(
            (Cell(policy), *(_score(each.get(name)) for name in names))
            for policy, each in policies.items()
        ),
        data={
            "policy": list(policies),
            **{name: [_first(each.get(name)) for each in policies.values()] for name in names},
        },
        note="Shares are of tasks. Brackets: 95 % bootstrap interval.",
        dense=True,
    )


def _heading(name: str) -> str:
    words, _, unit = name.rpartition("_")
    known = {"s": "s", "j": "J"}.get(unit)
    return f"{words} {known}".replace("_", " ") if known else name.replace("_", " ")


def _score(value: Any) -> Cell:
    if isinstance(value, list) and len(value) == 3:
        return _interval(*value)
    return Cell("–" if value is None else _figure(value))


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def kpis_table(path: Path) -> Table:
    """``kpis.csv``: a row a figure (and policy), a column a link.

    Raises:
        ConfigError: a column is missing, a value is no number, or it is too long.
    """
    lines: list[dict[str, str]] = []
    try:
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
            if missing:
                raise ConfigError(f"{path} lacks the columns {', '.join(missing)}")
            for line in reader:
                lines.append(line)
                if len(lines) > _MOST_LINES:
                    raise ConfigError(f"{path} has more than {_MOST_LINES:,} lines")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    links = list(dict.fromkeys(line["link"] for line in lines))
    found: dict[tuple[str, str, str, str], dict[str, Cell]] = {}
    for number, line in enumerate(lines, start=2):
        key = line["kpi"], line["policy"], line["unit"], line["kind"]
        try:
            cell = _interval(*(_number(line[name]) for name in ("value", "low", "high")))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{path}, line {number}: {error}") from None
        found.setdefault(key, {})[line["link"]] = cell
    return Table(
        name="kpis",
        caption="Key figures",
        headings=("figure", "policy", "unit", "", *links),
        rows=tuple(
            (
                Cell(kpi.replace("_", " ")),
                *(Cell(word, words=True) for word in (policy, "" if unit == "1" else unit, kind)),
                *(cells.get(link, Cell("–")) for link in links),
            )
            for (kpi, policy, unit, kind), cells in found.items()
        ),
        data={name: [line[name] for line in lines] for name in _NEEDED},
        note="Below each value its 95 % interval, where it has one.",
        dense=True,
    )


def _number(text: str) -> float | None:
    return float(text) if text else None


def _interval(value: float | None, low: float | None, high: float | None) -> Cell:
    if value is None:
        return Cell("–")
    if low is None or high is None:
        return Cell(_figure(value))
    return Cell(_figure(value), f"[{_figure(low)}, {_figure(high)}]")


def _figure(value: Any) -> str:
    """Three digits, and a thousand or a million as such."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if math.isfinite(value) and abs(value) >= limit:
            unit = {"G": 1e9, "M": 1e6, "k": 1e3}[letter]
            return f"{value / unit:.3g} {letter}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
