"""Command up: run a command behind a profile."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import tyro

EDGE_VARIABLE = "OFFLOAD_EDGE_ADDRESS"


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
