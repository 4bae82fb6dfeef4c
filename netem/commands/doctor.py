"""Command doctor: what each backend can do here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Doctor:
    """Show what each backend can do on this machine, why not, and the command that would fix it.

    Works without root, and says what can be done without. Exits 0 where some backend runs, 1 where
    none does.
    """

    backend: ClassVar[str] = "auto"
    """It looks at all of them, from within a user namespace where an ordinary user asks."""

    def run(self) -> int:
        """Probe every backend, then the machine."""
        from netem.backends import BACKENDS
        from netem.machine import facts

        runs = False
        for backend in BACKENDS:
            found = backend.probe()
            chosen = found.runs and not runs
            runs = runs or found.runs
            mark = "yes, used by auto" if chosen else ("yes" if found.runs else "no")
            print(f"{backend.name}: {mark}\n    {backend.summary}\n    {found.reason}")
            if found.remedy:
                print(f"    to fix it: {found.remedy}")
        print()
        for fact in facts():
            print(f"{fact.name + ':':<20} {fact.found}")
            if fact.remedy:
                print(f"{'':<20} to fix it: {fact.remedy}")
        return 0 if runs else 1
