"""``python evaluate.py --sweep QUANTITY``: measure, say, and keep where offloading stops paying."""

from __future__ import annotations

import shlex
import sys
import time
from functools import partial
from pathlib import Path

from tqdm import tqdm

from agents.run_directory import held, make_folder, new_run_folder, read_json, write_json
from evidence.report.page import write_report
from evidence.sweeps.folder import FIGURES, SETTINGS, notes_on, write_folder
from evidence.sweeps.live import measure_sweep, rows_of
from evidence.sweeps.model import expected_s
from evidence.sweeps.plan import plan_block
from evidence.sweeps.record import Record
from evidence.sweeps.settings import RunOptions, Settings, SweepOptions, choose_settings
from netem import baseline
from netem.link import choose_backend
from offload.errors import ConfigError, VoidRun
from offload.tasks.profile_table import ProfileTable, load_profile_table
from testbed.processes import TestbedError


def sweep(options: SweepOptions, run: RunOptions) -> int:
    """Carry out a sweep, or what is left of one; returns the exit code.

    Raises:
        ConfigError: an option is wrong, or the folder holds another sweep.
        BackendError, TestbedError: no link can be opened, or a part failed.
        VoidRun: the machine is too busy; the folder can be resumed.
    """
    settings, notes = choose_settings(options, run)
    choose_backend(settings.backend, need_packets=True)  # before there is a folder
    table = load_profile_table()
    folder = _folder(options, settings, run.out)
    for note in notes:
        print(f"sweep: {note}", file=sys.stderr)
    with held(folder):
        record = Record(folder)
        try:
            _measure(settings, table, record)
        except (KeyboardInterrupt, SystemExit, VoidRun, TestbedError):
            print(f"evaluate.py: go on with: {_resuming(folder)}", file=sys.stderr)
            raise
        notes = (*notes, *notes_on(settings, record))
        for text in write_folder(folder, settings, table, record, notes):
            print(text)
    for note in notes:
        print(f"note: {note}")
    print(f"results: {folder} (figures in {folder / FIGURES})")
    if run.report:
        print(f"report: {write_report([folder], folder)}")
    return 0


def _folder(options: SweepOptions, settings: Settings, out: Path) -> Path:
    """A new folder with its settings, or the one to be resumed once it holds the same."""
    if options.resume is None:
        folder = new_run_folder(make_folder(out), f"{settings.profile}-sweep-{settings.sweep}")
        write_json(folder / SETTINGS, settings.as_dict())
        return folder
    if not (options.resume / SETTINGS).is_file():
        raise ConfigError(f"{options.resume} holds no sweep: it has no {SETTINGS}")
    settings.check_same(read_json(options.resume / SETTINGS), options.resume)
    return options.resume


def _measure(settings: Settings, table: ProfileTable, record: Record) -> None:
    total = len(settings.controls) * sum(
        plan_block(settings, number).steps for number in range(settings.repeats)
    )
    there = sum(
        len(record.done(control, number))
        for control in settings.controls
        for number in range(settings.repeats)
    )
    minutes = expected_s(settings, rows_of(settings, table)) / 60.0
    print(
        f"sweep: {settings.sweep} on {settings.profile}, {len(settings.points)} points,"
        f" {settings.repeats} repetitions, {len(settings.tasks)} tasks: {total} runs"
        f"{f', {there} of them there' if there else ''}, about {max(1.0, minutes):.0f} min in all",
        flush=True,
    )
    with tqdm(total=total, initial=there, unit=" runs", disable=None) as bar:
        measure = partial(
            measure_sweep, settings, table, record, progress=bar.update, say=partial(_say, bar)
        )
        try:
            measure()
        except VoidRun as error:
            bar.write(f"evaluate.py: {error}. Once more in {baseline.PAUSE_S:g} s", sys.stderr)
            time.sleep(baseline.PAUSE_S)
            measure()


def _say(bar: tqdm[None], line: str) -> None:
    """A line that the progress bar does not overwrite."""
    bar.write(line, sys.stdout)
    sys.stdout.flush()


def _resuming(folder: Path) -> str:
    """The command that goes on with this folder."""
    words = list(sys.argv)
    if "--resume" not in words:
        words += ["--resume", str(folder)]
    return shlex.join([Path(sys.executable).name, *words])
