"""``python -m edge_server``: run the edge server until SIGTERM or SIGINT, or manage its keys."""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from edge_server.config import ServerConfig
from edge_server.security.commands import Authorize, Keygen, Revoke
from offload.errors import OffloadError

KeyCommand = (
    Annotated[Keygen, tyro.conf.subcommand("keygen")]
    | Annotated[Authorize, tyro.conf.subcommand("authorize")]
    | Annotated[Revoke, tyro.conf.subcommand("revoke")]
)
KEY_COMMANDS = ("keygen", "authorize", "revoke")
_PROG = "python -m edge_server"
_DESCRIPTION = """Run tasks for devices.

Beyond the loopback it lets in only clients whose keys it knows. Commands for keys, each with a help
of its own: keygen, authorize, revoke."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command of keys, or serve; the exit status: 0, or 2 with one line on stderr."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments[:1] and arguments[0] in KEY_COMMANDS:
            command = tyro.cli(KeyCommand, args=arguments, prog=_PROG)
            return command.run()
        if arguments[:1] == ["serve"]:
            del arguments[0]
        config = tyro.cli(ServerConfig, args=arguments, prog=_PROG, description=_DESCRIPTION)
        return _serve(config)
    except OffloadError as error:
        print(f"edge_server: {error}", file=sys.stderr)
        return 2


def _serve(config: ServerConfig) -> int:
    from edge_server.server import EdgeServer  # not needed for --help
    from edge_server.watching.logs import configure_logs

    configure_logs(config.log_format, config.log_level)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each connection takes one
    with EdgeServer(config) as server:
        server.stop_on_signals()
        server.start()
        workers = f"{config.workers} worker{'s' if config.workers > 1 else ''}"
        pages = server.metrics_port
        metrics = "" if pages is None else f", metrics on {config.metrics_bind}:{pages}"
        print(f"edge server ready on {server.endpoint} with {workers}{metrics}", flush=True)
        server.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
