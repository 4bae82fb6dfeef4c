"""An edge server that runs the suite's tasks: ``python -m evidence.chaos.serve SETTINGS``.

SETTINGS is a JSON object of :class:`edge_server.config.ServerConfig`. Where ``python -m
edge_server`` offers the project's tasks, this one offers :mod:`evidence.chaos.tasks`; all else is
the same server.
"""

from __future__ import annotations

import os
import sys

import msgspec

from edge_server.config import ServerConfig
from edge_server.server import EdgeServer
from edge_server.watching.logs import configure_logs
from edge_server.worker import die_with
from evidence.chaos.tasks import run_task


def main(settings: str, parent_pid: int) -> None:
    """Serve until SIGTERM; the kernel ends it with its parent."""
    die_with(parent_pid)
    config = msgspec.json.decode(
        settings, type=ServerConfig, dec_hook=lambda kind, value: kind(value)
    )
    configure_logs(config.log_format, config.log_level)
    with EdgeServer(config, run_task=run_task) as server:
        server.stop_on_signals()
        server.start()
        print(f"chaos server ready on {server.endpoint}", flush=True)
        server.serve()


if __name__ == "__main__":
    main(sys.argv[1], os.getppid())
