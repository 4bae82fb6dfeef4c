"""What a folder brings along for its report: sentences, figures with captions, tables.

Whoever writes a run's folder may put there:

- ``sentences.txt``: findings, a line each;
- ``figures/NAME.svg`` (or ``.png``) with ``figures/NAME.txt``: a figure and its caption;
- ``crossovers.csv``: a table that is shown as it is; ``kpis.csv``: one that is shown link by link.
"""

from __future__ import annotations

import base64
import csv
from dataclasses import dataclass
from pathlib import Path

from evidence.report.summaries import KPIS_NAME, kpis_table
from evidence.report.table import Cell, Table
from offload.errors import ConfigError

SENTENCES_NAME = "sentences.txt"
FIGURES_NAME = "figures"
CROSSOVERS_NAME = "crossovers.csv"
_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
MAX_IMAGE_BYTES = 1 << 20
MAX_ROWS = 500
MAX_TEXT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Image:
    """A figure that was drawn elsewhere.

    Attributes:
        name: of its file.
        caption: what it shows.
        data_url: the picture itself. As the source of an ``img`` an SVG runs no script and loads
            nothing.
    """

    name: str
    caption: str
    data_url: str


def read_sentences(folder: Path) -> list[str]:
    """The lines of ``sentences.txt``; none where there is no such file."""
    path = folder / SENTENCES_NAME
    return [line.strip() for line in _text(path).splitlines() if line.strip()]


def read_images(folder: Path) -> list[Image]:
    """The pictures in ``figures/``; of one that is there twice, the SVG.

    Raises:
        ConfigError: a picture is larger than a report can carry.
    """
    found: dict[str, Path] = {}
    for suffix in reversed(_TYPES):
        found |= {path.stem: path for path in sorted((folder / FIGURES_NAME).glob(f"*{suffix}"))}
    images = []
    for name, path in sorted(found.items()):
        data = _bytes(path, MAX_IMAGE_BYTES)
        caption = _text(path.with_suffix(".txt")).strip() or name
        coded = base64.b64encode(data).decode()
        images.append(Image(name, caption, f"data:{_TYPES[path.suffix]};base64,{coded}"))
    return images


def read_tables(folder: Path) -> list[Table]:
    """The tables that are there.

    Raises:
        ConfigError: one is no CSV of equal lines, or is too long.
    """
    crossovers, kpis = folder / CROSSOVERS_NAME, folder / KPIS_NAME
    return [
        *([_table(crossovers, "Crossovers")] if crossovers.is_file() else []),
        *([kpis_table(kpis)] if kpis.is_file() else []),
    ]


def _table(path: Path, caption: str) -> Table:
    lines = list(csv.reader(_text(path).splitlines()))
    if not lines or len(lines) > MAX_ROWS + 1:
        raise ConfigError(f"{path} holds {len(lines)} lines; 1 to {MAX_ROWS + 1} are shown")
    heading, *rows = lines
    for number, row in enumerate(rows, start=2):
        if len(row) != len(heading):
            raise ConfigError(f"{path}, line {number}: {len(row)} cells under {len(heading)} names")
    return Table(
        name=path.stem,
        caption=caption,
        headings=tuple(name.replace("_", " ") for name in heading),
        rows=tuple(tuple(map(_cell, row)) for row in rows),
        data={name: [row[index] for row in rows] for index, name in enumerate(heading)},
    )


_OUTSIDE = {"inf": "above the range", "-inf": "below the range"}


def _cell(text: str) -> Cell:
    try:
        float(text)
    except ValueError:
        return Cell(text, words=True)
    return Cell(_OUTSIDE.get(text, text))


def _text(path: Path) -> str:
    if not path.is_file():
        return ""
    try:
        return _bytes(path, MAX_TEXT_BYTES).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error}") from error


def _bytes(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if len(data) > most:
        raise ConfigError(f"{path} holds more than {most:,} bytes; a report cannot carry it")
    return data
