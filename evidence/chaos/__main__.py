"""The chaos suite: ``python -m evidence.chaos --short``, or ``--full``.

Faults are injected into a real server, its workers and the link. Every row leaves a history, which
one checker judges: each task ends exactly once, with the right answer, in time where promised.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from evidence.ending import exit_code, unwind_on_sigterm
from offload.errors import ConfigError

_FAILED = 1


@dataclass(frozen=True)
class ChaosOptions:
    """Inject faults, and judge what came of them."""

    short: bool = False
    """The counts of continuous integration: about two minutes."""
    full: bool = False
    """All counts: the soak alone lasts an hour."""
    only: tuple[str, ...] = ()
    """Names of the rows to run; default: all."""
    count: int | None = None
    """Faults of each row, instead of the form's."""
    seed: int = 0
    """Of fault times and inputs."""
    one_by_one: bool = False
    """Run no row beside another."""
    out: Path = Path("results")
    """Where the result folder goes."""
    resume: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Go on with an interrupted suite: rows that passed there with the same counts are kept."""


def main(options: ChaosOptions) -> int:
    """Run the suite; returns the exit code.

    Raises:
        ConfigError: neither ``--short`` nor ``--full`` is given, or both.
        UnknownNameError: ``--only`` names no row.
    """
    if options.short == options.full:
        raise ConfigError("say --short or --full: how many faults are injected")
    if options.count is not None and options.count < 1:
        raise ConfigError(f"--count is {options.count}; it must be 1 or more")
    from agents.run_directory import held, new_run_folder
    from evidence.chaos.plan import ROWS, row_called
    from evidence.chaos.progress import Progress
    from evidence.chaos.report import complaints, table, write_report
    from evidence.chaos.run import Form, run_rows

    rows = [row_called(name) for name in options.only] or list(ROWS)
    form = Form(options.short, options.seed, options.one_by_one, options.count)
    folder = options.resume
    if folder is None:
        label = "chaos-short" if options.short else "chaos-full"
        folder = new_run_folder(options.out, label)
    elif not folder.is_dir():
        raise ConfigError(f"{folder} is no folder of an earlier suite")
    with held(folder):
        try:
            with Progress() as progress:
                results = run_rows(rows, form, folder, progress)
        except (KeyboardInterrupt, SystemExit):
            size = "--short" if options.short else "--full"
            print(f"go on with: python -m evidence.chaos {size} --resume {folder}", file=sys.stderr)
            raise
        write_report(folder, results)
    print(table(results))
    print(f"results in {folder}")
    for line in complaints(results):
        print(line, file=sys.stderr)
    return 0 if all(result.passed for result in results) else _FAILED


def cli() -> None:
    """Entry point: 1: a row failed; errors of the project are one line and exit code 2."""
    options = tyro.cli(ChaosOptions, description=__doc__)
    unwind_on_sigterm()
    if not options.only or "link" in options.only:
        from netem import unprivileged

        unprivileged.enter()  # refused, the row takes a link without packets, and says so
    sys.exit(exit_code("evidence.chaos", lambda: main(options)))


if __name__ == "__main__":
    cli()
