"""The suite's own tasks: they last as long as they are told, and their answer is known by formula.

An input is ``task n hold_ms`` and some padding. A worker holds it for that long, then adds the
squares from 1 to n one by one and takes an Adler-32 sum of the whole input; :func:`right_answer`
works both out another way. A worker says in the row's history when it starts and ends a task.
``poison`` kills the process that runs it.
"""

from __future__ import annotations

import functools
import os
import random
import signal
import time
import zlib
from pathlib import Path

from edge_server.task_registry import UnknownKindError
from evidence.chaos.history import VARIABLE, Ended, History, Started
from offload.errors import ConfigError, TaskError

SQUARES = "squares"
POISON = "poison"
_ADLER_BASE = 65521


def make_input(task: str, n: int, hold_ms: int, padding: int) -> bytes:
    """The encoded input of a task; its padding is drawn from ``n``."""
    return f"{task} {n} {hold_ms} ".encode() + random.Random(n).randbytes(padding)


def right_answer(task: str, n: int, hold_ms: int, padding: int) -> bytes:
    """What ``squares`` must answer, by formulae: the sum of squares, and Adler-32's lower half."""
    given = make_input(task, n, hold_ms, padding)
    squares = n * (n + 1) * (2 * n + 1) // 6
    return f"{squares} {(1 + sum(given)) % _ADLER_BASE}".encode()


def run_task(kind: str, payload: bytes) -> bytes:
    """Run one of the tasks at the edge; what a worker of :mod:`evidence.chaos.serve` calls.

    Raises:
        UnknownKindError: it is neither ``squares`` nor ``poison``.
        TaskError: the payload is not an input of these tasks.
    """
    return run_noted(kind, payload, "edge", _rows_history())


def run_task_on_device(kind: str, payload: bytes) -> bytes:
    """The same in the local child of a client."""
    return run_noted(kind, payload, "device", _rows_history())


def run_noted(kind: str, payload: bytes, site: str, history: History) -> bytes:
    """Run one of the tasks at ``site``; its start and its end go into ``history``."""
    try:
        task, n, hold_ms, _ = bytes(payload).split(b" ", 3)
        name, count, hold_s = task.decode(), int(n), int(hold_ms) / 1000
    except ValueError as error:
        raise TaskError(f"no input of the chaos suite: {error}") from error
    if kind not in (SQUARES, POISON):
        raise UnknownKindError(f"no task {kind!r}; there are {SQUARES!r} and {POISON!r}")
    history.write(Started(time.monotonic(), name, site, os.getpid()))
    time.sleep(hold_s)
    if kind == POISON:
        os.kill(os.getpid(), signal.SIGKILL)
    squares = 0
    for k in range(1, count + 1):
        squares += k * k
    answer = f"{squares} {zlib.adler32(payload) & 0xFFFF}".encode()
    history.write(Ended(time.monotonic(), name, site, os.getpid()))
    return answer


@functools.cache
def _rows_history() -> History:
    path = os.environ.get(VARIABLE)
    if path is None:
        raise ConfigError(f"{VARIABLE} is not set; it names the row's history")
    return History(Path(path))
