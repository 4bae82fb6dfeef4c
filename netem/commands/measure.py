"""Command measure: set against measured."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

if TYPE_CHECKING:
    from netem.baseline import Baseline
    from netem.measurement import Measured


@dataclass(frozen=True)
class Measure:
    """Open a link and print what was set against what is measured across it.

    Pings for delay, jitter and loss, packet trains for the rate, then TCP in each direction; the
    TCP columns are payload, of which 95.6 % of the rate fits beside the headers. Takes about half a
    minute a profile. Where the machine is too busy, the run is void: no table, exit code 3.
    Example: python -m netem measure congested
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

        from netem.baseline import fit_baseline
        from netem.link import open_link
        from netem.measurement import measure_profile
        from netem.tables import measured_rows, print_table
        from offload.errors import ConfigError, VoidRun
        from offload.link_profiles import PROFILES, get_profile

        if not 0.5 <= self.seconds <= 120:
            raise ConfigError(f"--seconds is {self.seconds}; it must be 0.5 to 120")
        wanted = list(PROFILES.values()) if self.profile == "all" else [get_profile(self.profile)]
        results: list[Measured] = []
        baselines: list[Baseline] = []
        void = ""
        with open_link(wanted[0], self.backend, need_packets=True) as link:
            if not link.carries_packets:
                raise ConfigError(
                    f"measure sends UDP, which backend {link.backend!r} does not carry; what it"
                    f" does carry is checked by: python -m netem conform --backend {link.backend}"
                )
            print(link.reason, file=sys.stderr)
            with tqdm(wanted, unit="profile", disable=None) as bar:
                for profile in bar:

                    def report(step: str, name: str = profile.name) -> None:
                        bar.set_description(f"{name}: {step}")

                    try:
                        baselines.append(fit_baseline(link, report))
                    except VoidRun as error:
                        void = str(error)
                        break
                    results.append(
                        measure_profile(link, profile, seconds=self.seconds, report=report)
                    )
        if self.json is not None:
            self._write(link.backend, results, baselines, void)
        if void:
            raise VoidRun(void)
        print_table(*measured_rows(results))
        for baseline in baselines:
            print(baseline, file=sys.stderr)
        algorithms = sorted({result.congestion_control for result in results})
        print(f"TCP figures: congestion control {', '.join(algorithms)}", file=sys.stderr)
        return 0

    def _write(
        self, backend: str, results: list[Measured], baselines: list[Baseline], void: str
    ) -> None:
        """Write what was measured; ``void`` says why it does not count, if it does not."""
        path = self.json
        if path is None:
            return
        record = {
            "command": f"python -m netem measure {self.profile}"
            f" --backend {self.backend} --seconds {self.seconds:g}",
            "backend": backend,
            "kernel": platform.release().split("-")[0],
            "cpus": os.cpu_count(),
            "load_average_1min": os.getloadavg()[0],
            "units": "seconds, bit/s, bytes, fractions",
            "void": void,
            "baselines": [baseline.as_dict() for baseline in baselines],
            "profiles": [dataclasses.asdict(result) for result in results],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=1) + "\n")
