"""``python train.py --calibrate RUN...``: refit the simulator, and show what that is worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from agents.plain_table import plain_table
from agents.run_directory import new_run_folder
from envs.calibration import Calibration, save_calibration
from evidence.agreement.errors import Errors
from evidence.agreement.predictions import Component
from evidence.agreement.refit import refit, told_by
from evidence.agreement.stored import StoredRun, load_run
from evidence.agreement.validation import FOLDS, cross_validate
from offload.errors import ConfigError
from offload.tasks.profile_table import load_profile_table

FILE_NAME = "calibration.json"


def calibrate(folders: Sequence[Path], out: Path, console: Console) -> Path:
    """Fit to the live runs of these folders; returns the file, in a new folder under ``out``.

    Raises:
        ConfigError: a folder that is no live run, runs of devices of different speed, or too few
            measured tasks.
    """
    runs = [load_run(folder) for folder in folders]
    table = load_profile_table()
    _check_devices(runs, table.slowdown)
    told = told_by(runs)
    compared = cross_validate(told, table)
    calibration = refit(told, table, [run.name for run in runs])
    path = new_run_folder(out, "calibration") / FILE_NAME
    save_calibration(calibration, path)
    _print(calibration, compared, console)
    return path


def _check_devices(runs: Sequence[StoredRun], slowdown: float) -> None:
    for run in runs:
        if run.slowdown != slowdown:
            raise ConfigError(
                f"{run.name} had a device {run.slowdown:g} times slower than a core, and the "
                f"profile table is for {slowdown:g}: leave that run out"
            )


def _print(
    calibration: Calibration, compared: dict[Component, tuple[Errors, Errors]], console: Console
) -> None:
    table = plain_table(
        f"errors on pairs that were held out ({FOLDS} folds over {calibration.pairs} tasks)",
        "Median / p90 of |predicted / measured - 1| in %, and in brackets the median of "
        "ln(predicted / measured). Before: the table that ships, and the models as they are. Link "
        "as set.",
        *("component", "n", "before", "after"),
    )
    for component, (before, after) in compared.items():
        table.add_row(component, str(before.n), _told(before), _told(after))
    console.print(table)
    server = calibration.server
    console.print(
        f"server: {1e3 * server.fixed_s:.2f} ms a run and {1e9 * server.per_byte_s:.2f} ns a byte",
        highlight=False,
    )
    for control, fit in calibration.transfers.items():
        console.print(
            f"transfers, {control}: uploads x{fit.upload:.3f}, downloads x{fit.download:.3f}, "
            f"spread x{fit.spread:.2f}",
            highlight=False,
        )
    for note in calibration.notes:
        console.print(f"note: {note}", highlight=False)


def _told(errors: Errors) -> str:
    bias = "-" if errors.bias is None else f"{errors.bias:+.2f}"
    return f"{100 * errors.median:.0f} / {100 * errors.p90:.0f} ({bias})"
