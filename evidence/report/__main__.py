"""Report runs: ``python -m evidence.report RUN_FOLDER ...``.

Reads what is in the folders and runs nothing. One folder gets its ``report.html`` and ``report/``
inside; several make one page with a section each.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from offload.errors import ConfigError, OffloadError


@dataclass(frozen=True)
class ReportOptions:
    """Write report.html, and report/ with figures and tables for a paper."""

    folders: tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN_FOLDER")]]
    """Folders of results, as evaluate.py names them at its end."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder to write to; of one run by default its own."""


def main(options: ReportOptions) -> int:
    """Write the report; returns the exit code."""
    if not options.folders:
        raise ConfigError("no folder is named; name one or more of results/")
    if options.out is None and len(options.folders) > 1:
        raise ConfigError("several folders make one page: name the folder for it with --out DIR")
    from evidence.report.page import write_report

    written = write_report(options.folders, options.out or options.folders[0])
    print(f"report: {written}")
    return 0


def cli() -> None:
    """Entry point: errors of the project are one line and exit code 2."""
    options = tyro.cli(ReportOptions, description=__doc__)
    try:
        code = main(options)
    except (OffloadError, OSError) as error:
        print(f"evidence.report: {error}", file=sys.stderr)
        code = 2
    except ImportError as error:
        print(
            f"evidence.report: the package {error.name!r} is missing; "
            "pip install -r requirements.txt",
            file=sys.stderr,
        )
        code = 2
    sys.exit(code)


if __name__ == "__main__":
    cli()
