"""Command measure: set against measured."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True)
class Measure:
    """Open a link and print what was set against what is measured across it.

    Pings for delay, jitter and loss, packet trains for the rate, then TCP in each direction; the
    TCP columns are payload, of which 95.6 % of the rate fits beside the headers. Takes about half a
    minute a profile. Example: python -m netem measure congested
    """

    profile: tyro.conf.Positional[str]
    """Name of a profile (see: python -m netem profiles), or all."""
    backend: str = "auto"
    """Network backend, or auto: the first that runs (see: python -m netem doctor)."""
    seconds: float = 6.0
    """Length of each measurement's main part."""
    json: Path | None = None
    """Also write the figures to this file."""

    def run(self) -> int:
        """Measure one profile or all."""
        from tqdm import tqdm

        from netem.link import open_link
        from netem.measurement import measure_profile
        from netem.tables import measured_rows, print_table
        from offload.errors import ConfigError
        from offload.link_profiles import PROFILES, get_profile

        if not 0.5 <= self.seconds <= 120:
            raise ConfigError(f"--seconds is {self.seconds}; it must be 0.5 to 120")
        wanted = list(PROFILES.values()) if self.profile == "all" else [get_profile(self.profile)]
        results = []
        with open_link(wanted[0], self.backend) as link:
            print(link.reason, file=sys.stderr)
            with tqdm(wanted, unit="profile", disable=None) as bar:
                for profile in bar:

                    def report(step: str, name: str = profile.name) -> None:
                        bar.set_description(f"{name}: {step}")

                    results.append(
                        measure_profile(link, profile, seconds=self.seconds, report=report)
                    )
            used = link.backend
        print_table(*measured_rows(results))
        algorithms = sorted({result.congestion_control for result in results})
        print(f"TCP figures: congestion control {', '.join(algorithms)}", file=sys.stderr)
        if self.json is not None:
            record = {
                "command": f"python -m netem measure {self.profile}"
                f" --backend {self.backend} --seconds {self.seconds:g}",
                "backend": used,
                "kernel": platform.release().split("-")[0],
                "cpus": os.cpu_count(),
                "load_average_1min": os.getloadavg()[0],
                "units": "seconds, bit/s, bytes, fractions",
                "profiles": [dataclasses.asdict(result) for result in results],
            }
            self.json.parent.mkdir(parents=True, exist_ok=True)
            self.json.write_text(json.dumps(record, indent=1) + "\n")
        return 0
