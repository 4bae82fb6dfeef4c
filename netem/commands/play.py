"""Command play: run a command behind a link that replays a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from netem.commands.running import LinkOptions, opened, run_on_device, say


@dataclass(frozen=True, kw_only=True)
class Play(LinkOptions):
    """Run a program behind a link that replays a measured trace, row by row in real time.

    The program and --edge-command are as for up. A row is set when its time has come, counted from
    the start, and one that comes too late is skipped; the line at the end says how well time was
    kept. When the trace is over the link stays as in its last row, unless --loop starts it over.
    Rates beyond what the backend carries are clipped and very low ones raised: how many rows is
    said at the start. Examples:

    python -m netem play drive.csv --loop -- bash

    python -m netem play verizon.up --base lte --edge-command "iperf3 -s" --edge-port 5201 --
    iperf3 -c {edge} -t 60 -i 1
    """

    trace: tyro.conf.Positional[Path]
    """Trace file; of a Mahimahi pair (.up, .down) either file."""
    format: Literal["auto", "csv", "mahimahi", "bandwidth", "bandwidth-rtt-loss", "alphartc"] = (
        "auto"
    )
    """Format of the file; auto tells by its name and first line."""
    base: str = "lte"
    """Profile that what the trace lacks is taken from (delay, loss, a direction), and the queue."""
    loop: bool = False
    """Start over at the trace's end."""

    def run(self, command: Sequence[str]) -> int:
        """Open the link, replay the trace while the command runs, close the link."""
        from netem.player import TracePlayer
        from netem.trace_rows import departures, first_profile
        from offload.errors import ConfigError
        from offload.link_trace import load_trace

        if not command:
            raise ConfigError("no command given; write it behind --, as in: play FILE -- bash")
        trace = load_trace(self.trace, self.format, self.base)
        with opened(first_profile(trace), self) as link:
            say(f"replaying {trace.source}: {trace.rows} rows, {trace.end_s:g} s")
            for assumed in trace.assumed:
                say(f"not in the trace: {assumed}")
            for departure in departures(trace, link.max_rate_bps):
                say(f"not as in the trace: {departure}")
            with TracePlayer(link, trace, loop=self.loop) as player:
                code = run_on_device(link, command, self)
                if player.over:
                    say("the trace was over before the command; its last row stayed")
            say(f"replayed: {player.report()}")
        return code
