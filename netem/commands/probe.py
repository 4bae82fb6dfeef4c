"""Command probe: measure a link to a responder."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

import tyro


@dataclass(frozen=True)
class Probe:
    """Measure the link to an edge where `python -m netem respond` runs, and print it as JSON."""

    address: tyro.conf.Positional[str]
    """Address of the responder."""
    port: int = 47400
    """Its UDP port."""

    def run(self) -> int:
        """Measure once; exits 1 where nothing answered."""
        from netem.probes import LinkProber

        with LinkProber(self.address, self.port) as prober:
            state = prober.measure()
            print(json.dumps({**dataclasses.asdict(state), **dataclasses.asdict(prober.cost)}))
        return 1 if state.loss == 1.0 else 0
