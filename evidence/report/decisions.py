"""Reads decisions.csv: all completion times, and whole rows of what is shown one by one."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evidence.report.run_data import Result
from offload.errors import ConfigError
from offload.types import FloatArray

DECISIONS_NAME = "decisions.csv"
EXAMPLES = 2
"""So many scenarios of a simulated run are kept one by one: the first of so many links."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of decisions.csv, whole.

    Attributes:
        label: what they are: a link's name; empty in a live run.
        columns: text by column name, shape (rows,).
    """

    label: str
    columns: dict[str, NDArray[np.str_]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def numbers(self, name: str) -> FloatArray:
        """A column as numbers; an empty cell is nan.

        Raises:
            ConfigError: no such column, or it holds something else.
        """
        try:
            texts = self.columns[name]
        except KeyError:
            raise ConfigError(f"{DECISIONS_NAME} lacks the column {name!r}") from None
        try:
            return np.array([float(text) if text else np.nan for text in texts])
        except ValueError as error:
            raise ConfigError(f"{DECISIONS_NAME}, column {name!r}: {error}") from None


@dataclass(frozen=True, slots=True)
class Decisions:
    """What the report needs of decisions.csv.

    Attributes:
        seconds: completion times of each policy, seeds of one algorithm together, rising.
        shown: rows kept whole: all of a live run; of a simulated one the first scenario of each of
            the first :data:`EXAMPLES` links.
    """

    seconds: dict[str, FloatArray]
    shown: tuple[Rows, ...]


def read_decisions(folder: Path, result: Result) -> Decisions:
    """Read a folder's decisions.csv.

    Raises:
        ConfigError: it is missing, or not as result.json says.
    """
    path = folder / DECISIONS_NAME
    try:
        with path.open(newline="") as file:
            return _read(path, csv.reader(file), result)
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def _read(path: Path, lines: Iterator[list[str]], result: Result) -> Decisions:
    heading = next(lines, [])
    where = {name: index for index, name in enumerate(heading)}
    wanted = [(policy, name) for policy in result.policies for name in result.columns_of(policy)]
    for _, name in wanted:
        if f"{name}:seconds" not in where:
            raise ConfigError(f"{path} lacks the column '{name}:seconds'")
    times = {policy: array("d") for policy in result.policies}
    places = [(times[policy], where[f"{name}:seconds"]) for policy, name in wanted]
    kept: dict[str, list[list[str]]] = {}
    scenarios: dict[str, str] = {}
    scenario, link = where.get("scenario"), where.get("link")
    for number, row in enumerate(lines, start=2):
        if len(row) != len(heading):
            raise ConfigError(f"{path}, line {number}: {len(row)} cells under {len(heading)} names")
        try:
            for values, index in places:
                values.append(float(row[index]))
        except ValueError as error:
            raise ConfigError(f"{path}, line {number}: {error}") from None
        label = ""
        if scenario is not None and link is not None:
            label = row[link]
            if len(scenarios) < EXAMPLES:
                scenarios.setdefault(label, row[scenario])
            if scenarios.get(label) != row[scenario]:
                continue
        kept.setdefault(label, []).append(row)
    if not kept:
        raise ConfigError(f"{path} holds no decision")
    return Decisions(
        seconds={policy: np.sort(np.array(values)) for policy, values in times.items()},
        shown=tuple(_rows(label, heading, rows) for label, rows in kept.items()),
    )


def _rows(label: str, heading: Sequence[str], rows: list[list[str]]) -> Rows:
    cells = np.array(rows)
    return Rows(label, {name: cells[:, index] for index, name in enumerate(heading)})
