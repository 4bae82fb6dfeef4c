"""A server with the tests' tasks on a Ray cluster: ``python ray_edge_server.py HOST:PORT WORKERS``.

Prints its two ports, serves until SIGTERM.
"""

import sys

import edge_server_tasks

from edge_server.config import ServerConfig
from edge_server.server import EdgeServer

if __name__ == "__main__":
    config = ServerConfig(
        port=0,
        metrics_port=0,
        workers=int(sys.argv[2]),
        executor="ray",
        ray_address=sys.argv[1],
        overrun_grace_s=0.2,
    )
    with EdgeServer(config, run_task=edge_server_tasks.run_task) as server:
        server.stop_on_signals()
        server.start()
        print("ports", server.port, server.metrics_port, flush=True)
        server.serve()
