"""A worker that lives on a node of a Ray cluster: what :class:`RayExecutor` makes an actor of.

The node imports this module from its own installation of the project; no code travels. Ray itself
pickles the arguments of a call: here names, numbers and bytes, which nobody unpickles further.
"""

from __future__ import annotations

import importlib
import os
import threading
from pathlib import Path

from edge_server.protocol import clock_name
from edge_server.worker import limit_memory, run_job


class RayWorker:
    """Runs one job at a time.

    Args:
        run_task: ``module:name`` of the function that runs a task.
        memory_bytes: private writable memory beyond what the process has before its first task.
        max_output_bytes: a larger output is not sent.
    """

    def __init__(self, run_task: str, memory_bytes: int, max_output_bytes: int) -> None:
        module, name = run_task.split(":")
        self._run_task = getattr(importlib.import_module(module), name)
        self._max_output_bytes = max_output_bytes
        limit_memory(_data_bytes() + memory_bytes)

    def who(self) -> tuple[int, str]:
        """Its process id, and the name of the clock it reads: the machine it is on."""
        return os.getpid(), clock_name()

    def run(
        self, kind: str, payload: bytes, zstd_bytes: int, accept_zstd: bool
    ) -> tuple[int, float, bytes, int]:
        """Run one job; the fields of the result, as plain values."""
        result = run_job(
            self._run_task, kind, payload, zstd_bytes, accept_zstd, self._max_output_bytes
        )
        return int(result.tag), result.seconds, result.body, result.zstd_bytes

    def live(self) -> None:
        """Never returns: whoever waits for it learns when this process ends."""
        threading.Event().wait()


def _data_bytes() -> int:
    """What RLIMIT_DATA counts of this process now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0
