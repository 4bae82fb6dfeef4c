"""A row of the suite: a fault, how often, what must hold; and what its function is given."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from evidence.chaos.history import History


@dataclass(frozen=True, slots=True)
class Bound:
    """One thing that a row had to show besides the invariants.

    Attributes:
        what: the quantity, e.g. ``"frames delivered without a key"``.
        required: the bound in words, e.g. ``"0"`` or ``"at most 2 s"``.
        seen: what was seen, e.g. ``"0 of 50"``.
        holds: the bound was kept.
    """

    what: str
    required: str
    seen: str
    holds: bool


def at_most(what: str, limit: float, seen: float, unit: str = "") -> Bound:
    """A bound on the largest value allowed; a value that is no number breaks it."""
    return Bound(what, f"at most {limit:.4g}{unit}", f"{seen:.4g}{unit}", seen <= limit)


def at_least(what: str, limit: float, seen: float, unit: str = "") -> Bound:
    """A bound on the smallest value allowed; a value that is no number breaks it."""
    return Bound(what, f"at least {limit:.4g}{unit}", f"{seen:.4g}{unit}", seen >= limit)


def exactly(what: str, wanted: int, seen: int) -> Bound:
    """A count that must be just so."""
    return Bound(what, str(wanted), str(seen), seen == wanted)


def told(what: str, seen: str) -> Bound:
    """A figure worth knowing, without a bound."""
    return Bound(what, "-", seen, True)


@dataclass(frozen=True, slots=True)
class RowRun:
    """What a row's function is given.

    Attributes:
        count: how many faults to inject, in the row's unit.
        short: the form for continuous integration; a row with a count of its own may ignore it.
        seed: where fault times and inputs are drawn from.
        folder: where the row may leave files.
        history: where its events go; servers and clients it starts write to the same file.
        progress: to be called with the number of faults injected so far.
    """

    count: int
    short: bool
    seed: int
    folder: Path
    history: History
    progress: Callable[[int], None]

    def rng(self, stream: str = "") -> random.Random:
        """A generator of its own for each named stream; the same one for the same seed."""
        return random.Random(f"{self.seed}/{stream}")


RunRow: TypeAlias = Callable[[RowRun], list[Bound]]
"""Injects the row's faults, and says what was seen. What it starts, it ends, also when it fails."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the suite.

    Attributes:
        name: what ``--only`` calls it.
        fault: what is injected, for the table.
        unit: what is counted, e.g. ``"kills"``.
        full: count of the full form.
        short: count of the short form.
        share: of the machine's CPU it needs while it runs; rows run side by side up to 1.
        seconds: what the short form and the full one take, roughly; a row is given up at four
            times that and a minute.
        run: its function.
    """

    name: str
    fault: str
    unit: str
    full: int
    short: int
    share: float
    seconds: tuple[float, float]
    run: RunRow
