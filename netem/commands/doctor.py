"""Command doctor: what each backend can do here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Doctor:
    """Show what each backend can do on this machine, why not, and the command that would fix it.

    Works without root. Exits 0 where some backend runs, 1 where none does.
    """

    def run(self) -> int:
        """Probe every backend."""
        from netem.backends import BACKENDS

        runs = False
        for backend in BACKENDS:
            found = backend.probe()
            chosen = found.runs and not runs
            runs = runs or found.runs
            mark = "yes, used by auto" if chosen else ("yes" if found.runs else "no")
            print(f"{backend.name}: {mark}\n    {backend.summary}\n    {found.reason}")
            if found.remedy:
                print(f"    to fix it: {found.remedy}")
        return 0 if runs else 1
