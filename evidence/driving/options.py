"""What a drive is asked for on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol


@dataclass(frozen=True)
class DriveOptions:
    """Options of ``evaluate.py --drive``."""

    drive: bool = False
    """Live: each policy runs the same tasks by itself, in turn, over the same link from its
    beginning; tasks queue, and a policy's own traffic acts on it."""
    stress: Literal["handover", "outage", "ramp"] | None = None
    """With --drive, instead of a profile: a link in trouble, made by formula."""

    @property
    def asked(self) -> bool:
        """Any of them is given."""
        return self != DriveOptions()


class RunOptions(Protocol):
    """What a drive takes of the other options of ``evaluate.py``."""

    @property
    def profile(self) -> str | None:
        """Name of the link's profile."""

    @property
    def trace(self) -> Path | None:
        """A measured link instead."""

    @property
    def traces(self) -> Path | None:
        """Refused: a drive has one link."""

    @property
    def trace_base(self) -> str:
        """Profile that what a trace lacks is taken from."""

    @property
    def mode(self) -> str:
        """``sim`` is refused."""

    @property
    def backend(self) -> str:
        """Network backend."""

    @property
    def tasks(self) -> int:
        """How many arrive."""

    @property
    def max_local(self) -> float:
        """Seconds on the device beyond which a task is left out."""

    @property
    def policies(self) -> str:
        """Names, or ``all``: the usual handful."""

    @property
    def objective(self) -> str:
        """What a decision is to minimise."""

    @property
    def run(self) -> tuple[Path, ...]:
        """Run folders of learned policies."""

    @property
    def report(self) -> bool:
        """Write a report of it."""

    @property
    def runs(self) -> Path:
        """Where to look for the newest run."""

    @property
    def congestion_control(self) -> str:
        """Of both ends."""

    @property
    def seed(self) -> int:
        """Of tasks and arrivals, and of the packets' fates where the backend takes one."""

    @property
    def out(self) -> Path:
        """Where result folders go."""

    @property
    def json(self) -> Path | None:
        """Also write the summary to this file."""
