"""What the suite measures: a cell a link, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass

from evidence.driving.stress import STRESSES, stress_trace
from netem.trace_rows import first_profile
from offload.errors import UnknownNameError
from offload.link_profiles import PROFILES, get_profile
from offload.link_trace import LinkTrace
from offload.types import LinkProfile

QUICK_LINKS = ("5g", "congested", "outage")
LINKS = (*PROFILES, *STRESSES)
"""Every profile, then the links under stress."""
UNSHAPED = "lan"
"""Has no rate of its own to compete for: a flow over it measures the machine."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is measured on each link.

    Attributes:
        tasks: task instances, each run on both sides.
        max_local_s: tasks that take the device longer are left out.
        rounds: of the competing flow; each has the three phases once.
        phase_s: least length of a phase.
    """

    tasks: int
    max_local_s: float
    rounds: int
    phase_s: float


FULL = Amount(tasks=24, max_local_s=2.0, rounds=3, phase_s=2.5)
QUICK = Amount(tasks=8, max_local_s=2.0, rounds=2, phase_s=1.5)


@dataclass(frozen=True, slots=True)
class Cell:
    """One link of the suite.

    Attributes:
        profile: what the link is told to be, of a trace its first row.
        trace: replayed round and round; None: the link keeps to its profile.
        competes: a competing flow is measured too.
    """

    name: str
    profile: LinkProfile
    trace: LinkTrace | None
    competes: bool


def cells(names: tuple[str, ...]) -> tuple[Cell, ...]:
    """The cells of links by name.

    Raises:
        UnknownNameError: neither a profile nor a link under stress.
    """
    for name in names:
        if name not in LINKS:
            raise UnknownNameError("link of the suite", name, LINKS)
    return tuple(_stressed(n) if n in STRESSES else _steady(n) for n in dict.fromkeys(names))


def _steady(name: str) -> Cell:
    return Cell(name, get_profile(name), None, name != UNSHAPED)


def _stressed(name: str) -> Cell:
    trace = stress_trace(name)
    return Cell(name, first_profile(trace), trace, False)
