"""A Ray cluster of two nodes on this machine, for tests; one of them can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Cluster(NamedTuple):
    """Where its head is, and the process ids of the nodes' raylets."""

    address: str
    raylets: list[int]


@contextmanager
def ray_cluster(*paths: Path) -> Iterator[Cluster]:
    """A cluster whose nodes find modules in ``paths`` too; taken down at the end."""
    folders = [word for path in paths for word in ("--path", str(path))]
    with subprocess.Popen(
        [sys.executable, "scripts/local_ray_cluster.py", "--nodes", "2", *folders],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        address, raylets = "", []
        for line in process.stdout:
            words = line.split()
            if words[:1] == ["address"]:
                address = words[1]
            elif words[:1] == ["node"]:
                raylets.append(int(words[1]))
            elif words == ["ready"]:
                break
        try:
            yield Cluster(address, raylets)
        finally:
            process.stdin.close()
            process.wait(60)


def parent_of(pid: int) -> int:
    """The process that started it."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def kill_node(raylet: int) -> None:
    """SIGKILL to a raylet and all that descends from it: what losing a machine looks like."""
    pids = [raylet]
    for pid in pids:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            pids += map(int, children.read_text().split())
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
