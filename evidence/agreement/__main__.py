"""``python -m evidence.agreement RUN...``: simulated against measured, from live runs' folders."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from offload.errors import OffloadError


@dataclass(frozen=True)
class AgreementOptions:
    """Compare what the models predict with what live runs measured; several are pooled."""

    runs: tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN")]]
    """Folders of live runs, as evaluate.py writes them."""
    out: Path | None = None
    """Folder for agreement.csv, .json and .png. Default: the run's own; of several runs, a new
    one under results/."""


def main(options: AgreementOptions) -> int:
    """Compare as asked; returns the exit code."""
    from rich.console import Console

    from agents.run_directory import make_folder, new_run_folder
    from evidence.agreement.command import agree
    from offload.errors import ConfigError

    if not options.runs:
        raise ConfigError("name the folder of a live run: python -m evidence.agreement RUN...")
    for folder in options.runs:
        if not (folder / "result.json").is_file():
            raise ConfigError(f"{folder} is not the folder of an evaluation: no result.json in it")
    if options.out is not None:
        out = make_folder(options.out)
    elif len(options.runs) == 1:
        out = make_folder(options.runs[0])
    else:
        out = new_run_folder(Path("results"), "agreement")
    agree(options.runs, out, Console(width=None if sys.stdout.isatty() else 120))
    print(f"results: {out}")
    return 0


def cli() -> None:
    """Entry point: errors of the project are one line and exit code 2."""
    try:
        code = main(tyro.cli(AgreementOptions, description=__doc__))
    except (OffloadError, OSError) as error:
        print(f"evidence.agreement: {error}", file=sys.stderr)
        code = 2
    sys.exit(code)


if __name__ == "__main__":
    cli()
