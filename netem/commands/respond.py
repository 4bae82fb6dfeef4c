"""Command respond: answer probes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from netem.commands.ending import Terminated


@dataclass(frozen=True)
class Respond:
    """Answer probes: run this beside the edge server, on any network. Ends on Ctrl-C or SIGTERM."""

    bind: str = "127.0.0.1"
    """Address to listen at."""
    port: int = 47400
    """Its UDP (or TCP) port; 0: any free one, which is printed."""
    tcp: bool = False
    """Answer over TCP alone instead, for links that carry no UDP."""

    def run(self) -> int:
        """Serve until told to end."""
        from netem.responder import ProbeResponder
        from netem.tcp_responder import TcpProbeResponder
        from offload.errors import ConfigError

        kind = TcpProbeResponder if self.tcp else ProbeResponder
        try:
            responder = kind(self.bind, self.port)
        except OSError as error:
            raise ConfigError(f"cannot listen at {self.bind}:{self.port}: {error}") from error
        print(f"answering probes at {responder.address[0]}:{responder.address[1]}", flush=True)
        with suppress(KeyboardInterrupt, Terminated):
            responder.serve()
        responder.close()
        return 0
