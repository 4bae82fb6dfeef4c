"""The worker process: reads a job, runs it, writes the result, until the server is gone.

Started by :mod:`edge_server.worker_pool` as ``python -m edge_server.worker`` with one end of a
socket pair; it has no other input. It imports nothing but the standard library and the error tree
until a job needs more.

Frames on the socket pair, both ways: ``!BdQ`` (tag, seconds, length) and that many bytes. A job is
two frames, its kind and its payload.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable
from enum import IntEnum

from edge_server.task_registry import UnknownKindError
from offload.errors import ConfigError, TaskError

FRAME = struct.Struct("!BdQ")
_PR_SET_PDEATHSIG = 1


class Tag(IntEnum):
    """What a frame of the socket pair holds."""

    RUN_TASK = 0  # server -> worker, once: "module:name" of the function to call
    KIND = 1
    PAYLOAD = 2
    READY = 3
    OK = 4
    UNKNOWN_KIND = 5
    BAD_INPUT = 6
    FAILED = 7


def reference(run_task: Callable[[str, bytes], bytes]) -> str:
    """``module:name`` of a function that a worker can import.

    Raises:
        ConfigError: it is no top-level function of an importable module.
    """
    module = getattr(run_task, "__module__", None)
    name = getattr(run_task, "__qualname__", "")
    if module in (None, "__main__") or not name.isidentifier():
        raise ConfigError(
            f"run_task is {run_task!r}; workers import it, so it must be a top-level function of "
            "a module other than __main__"
        )
    return f"{module}:{name}"


def die_with(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent ends (Linux: PR_SET_PDEATHSIG)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:  # it ended before the request was made
        os._exit(1)


def main(descriptor: int, parent_pid: int) -> None:
    """Serve jobs from the socket pair until its other end is closed."""
    die_with(parent_pid)
    # The server alone decides when a worker ends: a terminal's ^C or a service manager's SIGTERM
    # to the whole group must not turn a draining job into worker_died.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as channel:
        try:
            module, name = _read(channel).decode().split(":")
            run_task = getattr(importlib.import_module(module), name)
            _write(channel, Tag.READY, 0.0, b"")
            while True:
                kind = _read(channel).decode()
                payload = _read(channel)
                _write(channel, *_run(run_task, kind, payload))
        except (EOFError, ConnectionError):
            return  # the server closed its end


def _run(
    run_task: Callable[[str, bytes], bytes], kind: str, payload: bytes
) -> tuple[Tag, float, bytes]:
    start_s = time.perf_counter()
    try:
        output = run_task(kind, payload)
        if not isinstance(output, bytes):
            raise TypeError(f"task {kind!r} returned {type(output).__name__}, not bytes")
        return Tag.OK, time.perf_counter() - start_s, output
    except UnknownKindError as error:
        tag, message = Tag.UNKNOWN_KIND, str(error)
    except (TaskError, ConfigError) as error:
        tag, message = Tag.BAD_INPUT, str(error)
    except Exception as error:  # a task's own bug is an answer, not the end of its worker
        traceback.print_exc(file=sys.stderr)
        tag, message = Tag.FAILED, f"{type(error).__name__}: {error}"
    return tag, time.perf_counter() - start_s, message.encode(errors="replace")


def _read(channel: socket.socket) -> bytes:
    """One frame's bytes."""
    _, _, length = FRAME.unpack(_read_exactly(channel, FRAME.size))
    return bytes(_read_exactly(channel, length))


def _read_exactly(channel: socket.socket, length: int) -> bytearray:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        count = channel.recv_into(view)
        if count == 0:
            raise EOFError("the server closed the channel")
        view = view[count:]
    return data


def _write(channel: socket.socket, tag: Tag, seconds: float, data: bytes) -> None:
    channel.sendall(FRAME.pack(tag, seconds, len(data)))
    channel.sendall(data)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
