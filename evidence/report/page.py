"""Writes the report: the page, and ``report/`` with figures and tables for a paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from agents.run_directory import make_folder
from evidence.report.decisions import DECISIONS_NAME
from evidence.report.drawn import inline, write_panel
from evidence.report.letters import writable
from evidence.report.palette import FAMILIES, css_variables, family
from evidence.report.section import Section, read_section
from evidence.report.table import (
    Table,
    csv_to_parquet,
    parquet_available,
    write_csv,
    write_latex,
    write_parquet,
)

PAGE_NAME = "report.html"
PAPER_NAME = "report"
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        page: the HTML page.
        paper: folder of figures and tables.
        parquet: pyarrow was there, so tables are there as Parquet too.
    """

    page: Path
    paper: Path
    parquet: bool

    def __str__(self) -> str:
        tables = "CSV, LaTeX and Parquet"
        if not self.parquet:
            tables = (
                "CSV and LaTeX, but no Parquet: pyarrow is missing "
                "(pip install -r requirements-report.txt)"
            )
        return f"{self.page}; {self.paper}: figures as SVG and PDF, tables as {tables}"


def write_report(folders: Sequence[Path], out: Path) -> Written:
    """Write the report of one run or several; the same folders give the same bytes.

    Args:
        folders: of runs; each gets a section.
        out: folder for ``report.html`` and ``report/``.

    Raises:
        ConfigError: a folder is none of a run, or damaged; or ``out`` cannot be written to.
    """
    sections = [read_section(folder) for folder in folders]
    prefixes = [""] if len(sections) == 1 else [f"run{n + 1}-" for n in range(len(sections))]
    make_folder(out)
    for folder, section, prefix in zip(folders, sections, prefixes, strict=True):
        _write_paper(section, folder, out / PAPER_NAME / prefix.removesuffix("-"))
    page = out / PAGE_NAME
    page.write_text(html(sections, prefixes))
    return Written(page, out / PAPER_NAME, parquet_available())


def html(sections: Sequence[Section], prefixes: Sequence[str]) -> str:
    """The page.

    Args:
        prefixes: begin every id within a section, so that no two sections share one.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inline"] = inline
    light, dark = css_variables()
    style = environment.get_template("style.css").render(light=light, dark=dark)
    page = environment.get_template("report.html").render(
        sections=list(zip(sections, prefixes, strict=True)),
        style=style,
        family=family,
        families=FAMILIES,
    )
    return writable(page)


def _write_paper(section: Section, source: Path, folder: Path) -> None:
    figures, tables = folder / "figures", folder / "tables"
    for part in section.parts:
        if part.plates:
            figures.mkdir(parents=True, exist_ok=True)
        for plate in part.plates:
            for panel in plate.panels:
                write_panel(panel, figures)
        for table in part.tables:
            tables.mkdir(parents=True, exist_ok=True)
            _write_table(table, tables)
    if parquet_available() and (source / DECISIONS_NAME).is_file():
        csv_to_parquet(source / DECISIONS_NAME, folder / "decisions.parquet")


def _write_table(table: Table, folder: Path) -> None:
    write_csv(table, folder / f"{table.name}.csv")
    write_latex(table, folder / f"{table.name}.tex")
    if parquet_available():
        write_parquet(table, folder / f"{table.name}.parquet")
