"""``python -m edge_server``: run the edge server until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import sys

import tyro

from edge_server.config import ServerConfig
from offload.errors import OffloadError


def main() -> int:
    """Parse the options, serve, return the exit status: 0, or 2 with one line on stderr."""
    try:
        config = tyro.cli(
            ServerConfig, prog="python -m edge_server", description="Run tasks for devices."
        )
        return _serve(config)
    except OffloadError as error:
        print(f"edge_server: {error}", file=sys.stderr)
        return 2


def _serve(config: ServerConfig) -> int:
    from edge_server.server import EdgeServer  # not needed for --help

    logging.basicConfig(
        level=config.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    with EdgeServer(config) as server:
        server.stop_on_signals()
        server.start()
        workers = f"{config.workers} worker{'s' if config.workers > 1 else ''}"
        print(f"edge server ready on {server.endpoint} with {workers}", flush=True)
        server.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
