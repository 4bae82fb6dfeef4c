"""Command line: ``python -m netem --help`` names the commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from netem import unprivileged
from netem.commands.conform import Conform
from netem.commands.cycle import Cycle
from netem.commands.doctor import Doctor
from netem.commands.ending import quiet_when_nobody_reads, unwind_on_signals
from netem.commands.measure import Measure
from netem.commands.play import Play
from netem.commands.probe import Probe
from netem.commands.profiles import Profiles
from netem.commands.respond import Respond
from netem.commands.up import Up
from offload.errors import OffloadError, VoidRun

Command = (
    Annotated[Doctor, tyro.conf.subcommand("doctor")]
    | Annotated[Profiles, tyro.conf.subcommand("profiles")]
    | Annotated[Measure, tyro.conf.subcommand("measure")]
    | Annotated[Conform, tyro.conf.subcommand("conform")]
    | Annotated[Cycle, tyro.conf.subcommand("cycle")]
    | Annotated[Up, tyro.conf.subcommand("up")]
    | Annotated[Play, tyro.conf.subcommand("play")]
    | Annotated[Respond, tyro.conf.subcommand("respond")]
    | Annotated[Probe, tyro.conf.subcommand("probe")]
)
DESCRIPTION = """Put any program behind an emulated network link.

A link has two ends, a device's and an edge's, and shapes each direction on its own: rate, delay,
jitter, loss, queue. Ask doctor what this machine can do, choose among profiles, then:

    python -m netem up lte -- bash

Every command has a --help with examples."""
WITH_A_COMMAND = ("up", "play")
"""Commands that take a program to run, behind ``--``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code.

    2: a bad setting or a link that cannot be. 3: the machine was too busy to measure anything.
    141: nobody reads the output any more.
    """
    with quiet_when_nobody_reads():
        return _run(argv)


def _run(argv: Sequence[str] | None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    behind: list[str] = []
    if arguments[:1] and arguments[0] in WITH_A_COMMAND and "--" in arguments:
        cut = arguments.index("--")
        arguments, behind = arguments[:cut], arguments[cut + 1 :]
    unwind_on_signals()
    command = tyro.cli(
        Command,
        args=arguments,
        prog="python -m netem",
        description=DESCRIPTION,
    )
    if argv is None and getattr(command, "backend", "proxy") != "proxy":
        unprivileged.enter()  # refused, it goes on, and each backend says what it lacks
    try:
        return command.run(behind) if isinstance(command, Up | Play) else command.run()
    except OffloadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3 if isinstance(error, VoidRun) else 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
