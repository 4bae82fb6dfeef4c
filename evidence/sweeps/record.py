"""What a sweep has measured: one JSON line a run, written at once, so that nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from evidence.sweeps.plan import Step
from offload.errors import ConfigError
from offload.types import PlacementCost
from testbed.other_users import Offered

FILE = "points.jsonl"


class Session(msgspec.Struct, frozen=True, tag="session"):
    """A testbed was put up.

    Attributes:
        control: TCP congestion control of both ends.
        backend: network backend in use, and why.
        calibration: this machine's seconds over the profile table's, device and edge.
        limit: how the device's CPU is slowed down.
        baseline: of the machine before the first run.
        service_s: seconds of a task of the edge's other users; None where there are none.
    """

    control: str
    backend: str
    reason: str
    limits: tuple[str, ...]
    calibration: tuple[float, float]
    limit: tuple[str, str]
    baseline: dict[str, Any]
    origin: dict[str, Any]
    service_s: float | None = None


class Run(msgspec.Struct, frozen=True, tag="run"):
    """One run of one task on one side.

    Attributes:
        attempt: how often the repetition had been void before.
        value: of the swept quantity, in SI units.
        cost: its seconds; None: not back within ``budget_s``.
        correct: the answer was checked and right (a run given up is not counted as wrong).
    """

    control: str
    block: int
    attempt: int
    point: int
    value: float
    task: int
    name: str
    seed: int
    on_edge: bool
    budget_s: float
    cost: PlacementCost | None
    input_bytes: int
    output_bytes: int
    correct: bool
    detail: str


class Loaded(msgspec.Struct, frozen=True, tag="load"):
    """What the edge's other users did during the visit of a point."""

    control: str
    block: int
    attempt: int
    point: int
    asked: float
    offered: Offered


class BlockEnd(msgspec.Struct, frozen=True, tag="block"):
    """A repetition is through; void where the machine was too busy at its end."""

    control: str
    block: int
    attempt: int
    baseline: dict[str, Any]
    faults: tuple[str, ...]


Line: TypeAlias = Session | Run | Loaded | BlockEnd


class Record:
    """The lines of a folder, those of earlier sessions and those added now.

    Args:
        folder: of the sweep.

    Raises:
        ConfigError: a line is damaged. The last one may be cut off: its process was killed.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.lines: list[Line] = []
        self._encoder = msgspec.json.Encoder()
        if self.path.exists():
            self._read()

    def add(self, line: Line) -> None:
        """Append one line to the file, at once."""
        with self.path.open("ab") as file:
            file.write(self._encoder.encode(line) + b"\n")
        self.lines.append(line)

    def attempt(self, control: str, block: int) -> int:
        """How often this repetition was void."""
        return sum(bool(end.faults) for end in self._ends(control, block))

    def is_through(self, control: str, block: int) -> bool:
        """It has been measured, and counts."""
        return any(not end.faults for end in self._ends(control, block))

    def done(self, control: str, block: int) -> set[Step]:
        """The runs of the repetition's present attempt that are there already."""
        attempt = self.attempt(control, block)
        return {
            Step(line.point, line.task, line.on_edge)
            for line in self.lines
            if isinstance(line, Run)
            and (line.control, line.block, line.attempt) == (control, block, attempt)
        }

    def counted(self, control: str) -> list[Run]:
        """The runs of all repetitions that are through, those of void attempts left out."""
        attempts = {
            (end.block, end.attempt)
            for end in self.lines
            if isinstance(end, BlockEnd) and end.control == control and not end.faults
        }
        return [
            line
            for line in self.lines
            if isinstance(line, Run)
            and line.control == control
            and (line.block, line.attempt) in attempts
        ]

    def _ends(self, control: str, block: int) -> list[BlockEnd]:
        return [
            line
            for line in self.lines
            if isinstance(line, BlockEnd) and (line.control, line.block) == (control, block)
        ]

    def _read(self) -> None:
        decoder = msgspec.json.Decoder(Line)
        data = self.path.read_bytes()
        whole, _, cut = data.rpartition(b"\n")
        for number, text in enumerate(whole.split(b"\n") if whole else [], start=1):
            try:
                self.lines.append(decoder.decode(text))
            except msgspec.MsgspecError as error:
                raise ConfigError(f"{self.path}, line {number}: {error}") from error
        if cut:  # what follows must begin a line of its own
            with self.path.open("r+b") as file:
                file.truncate(len(data) - len(cut))
