"""Command up: run a command behind a profile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from netem.commands.running import LinkOptions, opened, run_on_device


@dataclass(frozen=True, kw_only=True)
class Up(LinkOptions):
    """Run a program on the device's side of an emulated link.

    The program stands behind --. {edge} in its arguments becomes the edge's address, {port} the
    port of --edge-port; $OFFLOAD_EDGE_ADDRESS and $OFFLOAD_EDGE_PORT hold them too. Nothing listens
    there unless --edge-command starts it. What was set, and at the end what was carried and lost,
    goes to standard error; the exit code is the program's own. Root is not needed where ordinary
    users may make namespaces (see: python -m netem doctor). Examples:

    python -m netem up lte -- bash

    python -m netem up lte --edge-command "iperf3 -s" --edge-port 5201 -- iperf3 -c {edge} -R

    python -m netem up 3g --edge-command "python3 -m http.server 80" --edge-port 80 --
    curl -so page -w "%{time_total} s" http://{edge}:{port}/
    """

    profile: tyro.conf.Positional[str]
    """Name of a profile (see: python -m netem profiles)."""

    def run(self, command: Sequence[str]) -> int:
        """Open the link, run the command, close the link."""
        from offload.errors import ConfigError
        from offload.link_profiles import get_profile

        if not command:
            raise ConfigError("no command given; write it behind --, as in: up lte -- bash")
        with opened(get_profile(self.profile), self) as link:
            return run_on_device(link, command, self)
