"""Carries the rows out, side by side where the machine has room, and goes on where it was left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from evidence.chaos.progress import Progress
from evidence.chaos.result import RowResult, read_result
from evidence.chaos.row_process import Order
from evidence.chaos.rows import Row
from evidence.chaos.running_row import RunningRow, Said

_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Form:
    """How much is done.

    Attributes:
        short: the counts of the short form.
        seed: of fault times and inputs.
        one_by_one: no row runs beside another.
        count: faults of every row; None: the form's counts.
    """

    short: bool
    seed: int
    one_by_one: bool = False
    count: int | None = None

    def count_of(self, row: Row) -> int:
        """How many faults that row injects."""
        if self.count is not None:
            return self.count
        return row.short if self.short else row.full

    def seconds_of(self, row: Row) -> float:
        """What the row takes, roughly."""
        return row.seconds[0 if self.short else 1]


def run_rows(rows: Sequence[Row], form: Form, folder: Path, progress: Progress) -> list[RowResult]:
    """Carry out the rows that have not passed in ``folder`` yet; all results, in order of ``rows``.

    However it is left, by an error or by Ctrl-C, nothing that a row has started is left running.
    """
    results = {row.name: kept for row in rows if (kept := _kept(row, form, folder)) is not None}
    waiting = [row for row in rows if row.name not in results]
    waiting.sort(key=form.seconds_of, reverse=True)  # the others run beside the longest
    running: list[RunningRow] = []
    said: Said = SimpleQueue()
    try:
        while waiting or running:
            for row in _may_begin(waiting, running, form):
                waiting.remove(row)
                running.append(RunningRow(row, _order(row, form, folder), said))
                progress.began(row, form.count_of(row))
            for one in running:
                one.give_up_if_late()
            try:
                one, done = said.get(timeout=_POLL_S)
            except Empty:
                continue
            if done is not None:
                progress.reached(one.row, done)
                continue
            running.remove(one)
            results[one.row.name] = one.result()
            progress.ended(results[one.row.name])
    finally:
        for one in running:
            one.stop()
    return [results[row.name] for row in rows]


def _kept(row: Row, form: Form, folder: Path) -> RowResult | None:
    """The result of an earlier run of the same row, if it passed with the same count and seed."""
    found = read_result(folder / row.name)
    if found is None or not found.passed:
        return None
    asked = (form.count_of(row), form.short, form.seed)
    return found if (found.count, found.short, found.seed) == asked else None


def _order(row: Row, form: Form, folder: Path) -> Order:
    place = str((folder / row.name).resolve())
    return Order(row.name, form.count_of(row), form.short, form.seed, place)


def _may_begin(waiting: list[Row], running: list[RunningRow], form: Form) -> list[Row]:
    """Rows that find room on the machine beside those that run."""
    chosen: list[Row] = []
    share = sum(one.row.share for one in running)
    for row in waiting:
        alone = not running and not chosen
        if alone or (not form.one_by_one and share + row.share <= 1.0):
            chosen.append(row)
            share += row.share
    return chosen
