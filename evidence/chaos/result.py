"""What came of a row: its own bounds, and the verdict of the invariants on its history."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec

from evidence.chaos.history import read_history
from evidence.chaos.invariants import RULES, excused, read_story, violations
from evidence.chaos.rows import Bound, Row, RowRun
from offload.errors import ConfigError

RESULT = "result.json"
_SHOWN = 20
_MOST_EXCUSED = 0.05


class RowResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row's outcome.

    Attributes:
        count: faults asked for, in ``unit``.
        bounds: what the row itself had to show.
        tasks: submitted in its history.
        outcomes: how many of them ended how.
        broken: breaches of each invariant; all 0 where it held.
        examples: the first breaches, in words.
        stalled_s: seconds in which the machine held up a thread that only slept, in all.
        promised: tasks that had to be answered by their deadline.
        excused: those of them that were not, only because the machine held them up meanwhile.
        error: why the row could not be carried out; empty where it was.
    """

    name: str
    fault: str
    count: int
    unit: str
    short: bool
    seed: int
    seconds: float
    bounds: tuple[Bound, ...] = ()
    tasks: int = 0
    outcomes: dict[str, int] = {}
    broken: dict[str, int] = {}
    examples: tuple[str, ...] = ()
    stalled_s: float = 0.0
    promised: int = 0
    excused: int = 0
    error: str = ""

    @property
    def void(self) -> bool:
        """The machine was too busy for the row to show anything about deadlines."""
        return self.excused > _MOST_EXCUSED * self.promised

    @property
    def passed(self) -> bool:
        """It was carried out, every bound holds and no invariant was broken."""
        return (
            not self.error
            and not self.void
            and all(bound.holds for bound in self.bounds)
            and not any(self.broken.values())
        )


def judged(row: Row, run: RowRun, bounds: list[Bound], seconds: float, error: str) -> RowResult:
    """The result of a row whose function has returned, or was given up with ``error``.

    Raises:
        HistoryError: the history cannot be read.
    """
    story = read_story(read_history(run.history.path))
    breaches = violations(story)
    counts = Counter(breach.rule for breach in breaches)
    return RowResult(
        name=row.name,
        fault=row.fault,
        count=run.count,
        unit=row.unit,
        short=run.short,
        seed=run.seed,
        bounds=tuple(bounds),
        tasks=len(story.submitted),
        outcomes=dict(Counter(ends[0].outcome for ends in story.terminal.values())),
        broken={rule: counts[rule] for rule in RULES},
        examples=tuple(f"{b.rule}: {b.task}: {b.what}" for b in breaches[:_SHOWN]),
        stalled_s=sum(stall.lasts_s for stall in story.stalls),
        excused=len(excused(story)),
        promised=len(story.promised()),
        seconds=seconds,
        error=error,
    )


def read_result(folder: Path) -> RowResult | None:
    """The result a row left in its folder; None: there is none.

    Raises:
        ConfigError: what lies there is no result.
    """
    try:
        return msgspec.json.decode((folder / RESULT).read_bytes(), type=RowResult)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{folder / RESULT} is no result of a chaos row: {error}") from error


def write_result(folder: Path, result: RowResult) -> None:
    """Leave a result in the row's folder; it appears whole or not at all."""
    partial = folder / f".{RESULT}"
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    partial.replace(folder / RESULT)
