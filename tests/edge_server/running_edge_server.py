"""What the tests of the edge server share: a server in a thread, and looks at processes."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import edge_server_tasks

from edge_server.config import ServerConfig
from edge_server.server import EdgeServer
from offload.types import TaskInstance


def children() -> set[int]:
    """Pids of this process's children, zombies included."""
    pids: set[int] = set()
    for thread in Path("/proc/self/task").iterdir():
        try:
            pids.update(map(int, (thread / "children").read_text().split()))
        except FileNotFoundError:
            continue  # the thread has ended meanwhile
    return pids


def open_descriptors() -> Counter[str]:
    """How many descriptors of each sort this process holds."""
    sorts: Counter[str] = Counter()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            sorts[str(entry.readlink()).split(":[")[0]] += 1
        except FileNotFoundError:
            continue  # the descriptor of the listing itself
    return sorts


def wait_until(condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    """Poll until the condition holds; False when it never did."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.01)
    return True


def alive(pid: int) -> bool:
    """The process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class RunningServer:
    """A server whose loop runs in a thread of its own."""

    def __init__(self, config: ServerConfig) -> None:
        self.server = EdgeServer(config, run_task=edge_server_tasks.run_task)
        self.server.start()
        self.port = self.server.port
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        self.server.serve()
        self.server.close()

    def drain(self) -> None:
        self.server.stop()

    def stop(self) -> None:
        self.server.stop()
        self.server.stop()  # the second one waits for no task
        self._thread.join(10)
        assert not self._thread.is_alive()


def a_task(kind: str) -> TaskInstance:
    return TaskInstance(kind, "small", 0)


def free_port() -> int:
    """A port where nobody listens, as far as anybody can know."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
