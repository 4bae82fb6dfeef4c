"""An edge server with a task of one's own: python examples/own_server.py PORT (0: a free one)."""

import sys

from word_count import run_task

from edge_server.config import ServerConfig
from edge_server.server import EdgeServer

if __name__ == "__main__":
    config = ServerConfig(port=int(sys.argv[1]), workers=2)
    with EdgeServer(config, run_task=run_task) as server:
        server.stop_on_signals()
        server.start()
        print(f"edge server ready on {server.endpoint}", flush=True)
        server.serve()
