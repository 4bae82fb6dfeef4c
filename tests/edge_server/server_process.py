"""A server of the tests' tasks in a process of its own, which can be killed and stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent


class ServerProcess:
    """Ready when it is made; ends with :meth:`close`, its workers with it."""

    def __init__(self, **settings: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, json.dumps({"port": 0, "workers": 1, **settings})],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_HERE.parents[1]), str(_HERE)])},
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """As the kernel's memory killer would."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self._process.send_signal(signal.SIGCONT)
        self.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()


def main(settings: str) -> None:
    from edge_server_tasks import run_task

    from edge_server.config import ServerConfig
    from edge_server.server import EdgeServer

    with EdgeServer(ServerConfig(**json.loads(settings)), run_task=run_task) as server:
        server.start()
        print(server.port, flush=True)
        server.serve()


if __name__ == "__main__":
    main(sys.argv[1])
