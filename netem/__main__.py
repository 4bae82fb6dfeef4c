"""Command line: python -m netem {doctor,profiles,measure,up,respond,probe}."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from offload.errors import OffloadError

EDGE_VARIABLE = "OFFLOAD_EDGE_ADDRESS"


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


@dataclass(frozen=True)
class Profiles:
    """Print the table of network profiles: rates, one-way delays, loss, queues, sources."""

    def run(self) -> int:
        """Print the table."""
        from netem.tables import print_table, profile_rows

        print_table(*profile_rows())
        return 0


@dataclass(frozen=True)
class Measure:
    """Open a link and print what was set against what is measured across it.

    Pings for delay, jitter and loss, packet trains for the rate, then TCP in each direction; the
    TCP columns are payload, of which 95.6 % of the rate fits beside the headers. Takes about half a
    minute a profile. Example: sudo python -m netem measure congested
    """

    profile: tyro.conf.Positional[str]
    """Name of a profile (see: python -m netem profiles), or all."""
    backend: str = "auto"
    """Backend to use: auto, tc or uml (see: python -m netem doctor)."""
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


@dataclass(frozen=True)
class Up:
    """Run a command on the device's side of an emulated link.

    The edge's side has an address, in $OFFLOAD_EDGE_ADDRESS for the command, and nothing that
    listens there unless --edge-command starts it. The exit code is the command's own. Example:
    sudo python -m netem up lte -- python client.py
    """

    profile: tyro.conf.Positional[str]
    """Name of a profile (see: python -m netem profiles)."""
    backend: str = "auto"
    """Backend to use: auto, tc or uml (see: python -m netem doctor)."""
    edge_command: str | None = None
    """A program to run on the edge's side meanwhile, with its arguments, quoted as one."""

    def run(self, command: Sequence[str]) -> int:
        """Open the link, run the command, close the link."""
        import shlex

        from netem.link import open_link
        from offload.errors import ConfigError
        from offload.link_profiles import get_profile

        if not command:
            raise ConfigError("no command given; write it behind --, as in: up lte -- bash")
        with open_link(get_profile(self.profile), self.backend) as link:
            print(link.reason, file=sys.stderr)
            environment = {**os.environ, EDGE_VARIABLE: link.edge.address}
            try:
                if self.edge_command is not None:
                    link.edge.popen(shlex.split(self.edge_command), env=environment)
                process = link.device.popen(command, env=environment)
            except FileNotFoundError as error:
                raise ConfigError(str(error)) from error
            code = process.wait()
        return code if code >= 0 else 128 - code


@dataclass(frozen=True)
class Respond:
    """Answer probes: run this beside the edge server, on any network. Ends on Ctrl-C or SIGTERM."""

    bind: str = "127.0.0.1"
    """Address to listen at."""
    port: int = 47400
    """UDP port; 0: any free one, which is printed."""

    def run(self) -> int:
        """Serve until told to end."""
        from netem.responder import ProbeResponder
        from offload.errors import ConfigError

        try:
            responder = ProbeResponder(self.bind, self.port)
        except OSError as error:
            raise ConfigError(f"cannot listen at {self.bind}:{self.port}: {error}") from error
        print(f"answering probes at {responder.address[0]}:{responder.address[1]}", flush=True)
        with suppress(KeyboardInterrupt, _Terminated):
            responder.serve()
        responder.close()
        return 0


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


class _Terminated(SystemExit):
    """SIGTERM, raised in the main thread so that everything open is closed on the way out."""


def _terminate(signal_number: int, frame: object) -> None:
    raise _Terminated(128 + signal_number)


Command = (
    Annotated[Doctor, tyro.conf.subcommand("doctor")]
    | Annotated[Profiles, tyro.conf.subcommand("profiles")]
    | Annotated[Measure, tyro.conf.subcommand("measure")]
    | Annotated[Up, tyro.conf.subcommand("up")]
    | Annotated[Respond, tyro.conf.subcommand("respond")]
    | Annotated[Probe, tyro.conf.subcommand("probe")]
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code, 2 for a bad setting or a link that cannot be."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    behind: list[str] = []
    if arguments[:1] == ["up"] and "--" in arguments:
        cut = arguments.index("--")
        arguments, behind = arguments[:cut], arguments[cut + 1 :]
    signal.signal(signal.SIGTERM, _terminate)
    command = tyro.cli(
        Command,
        args=arguments,
        prog="python -m netem",
        description="Emulated network links between a device and an edge namespace.",
    )
    try:
        return command.run(behind) if isinstance(command, Up) else command.run()
    except OffloadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
