"""Command conform: prove what a backend does."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netem.conformance import Outcome


@dataclass(frozen=True)
class Conform:
    """Run the conformance checks against a backend: what was set, what was measured, the bound.

    Delay, jitter, loss, order, queue, rate steps, TCP goodput, settings read back, counters, and
    what is left behind after close, an exception and SIGKILL. Takes about three minutes a backend,
    on a machine that does nothing else. Exits 1 where a bound is missed, 3 where the machine was
    too busy to tell. Example: sudo python -m netem conform --backend uml
    """

    backend: str = "auto"
    """Backend to check; auto: the first that runs; all: every one that runs here."""
    quick: bool = False
    """Fewer settings and shorter flows: half a minute a backend."""
    json: Path | None = None
    """Also write the figures to this file; with all, one file a backend, its name appended."""

    def run(self) -> int:
        """Check one backend or all."""
        from netem.conformance import FULL, QUICK, run
        from netem.tables import conformance_rows, print_table

        code = 0
        for name in self._backends():
            outcome = run(name, QUICK if self.quick else FULL, report=_say)
            print(f"## {outcome.backend}\n\n{outcome.reason}\n")
            for line in outcome.limits:
                print(f"- not carried out: {line}")
            print_table(*conformance_rows(outcome))
            for line in outcome.repeated:
                print(f"repeated: {line}")
            for line in outcome.void:
                print(f"void, not reported: {line}")
            if self.json is not None:
                self._write(outcome)
            code = max(code, 0 if outcome.passed else (3 if outcome.void else 1))
        return code

    def _backends(self) -> list[str]:
        from netem.backends import BACKENDS
        from offload.errors import BackendError

        if self.backend != "all":
            return [self.backend]
        found = {backend.name: backend.probe() for backend in BACKENDS}
        for name, capability in found.items():
            if not capability.runs:
                _say(f"{name} is left out: {capability.reason}")
        runs = [name for name, capability in found.items() if capability.runs]
        if not runs:
            raise BackendError("no backend runs here; see: python -m netem doctor")
        return runs

    def _write(self, outcome: Outcome) -> None:
        path = self.json
        if path is None:
            return
        if self.backend == "all":
            path = path.with_name(f"{path.stem}-{outcome.backend}{path.suffix}")
        quick = " --quick" if self.quick else ""
        record = {
            "command": f"python -m netem conform --backend {outcome.backend}{quick}",
            "kernel": platform.release().split("-")[0],
            "cpus": os.cpu_count(),
            **dataclasses.asdict(outcome),
            "checks": [
                {**dataclasses.asdict(check), "passed": check.passed} for check in outcome.checks
            ],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=1) + "\n")


def _say(text: str) -> None:
    print(f"netem: {text}", file=sys.stderr, flush=True)
