"""Tiny tasks for the server's tests; workers import this module by name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from edge_server.task_registry import UnknownKindError
from offload.errors import TaskError


def touch_then_sleep(payload: bytes) -> bytes:
    path, seconds = payload.decode().split()
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(float(seconds))
    return b"touched"


def sleep(payload: bytes) -> bytes:
    time.sleep(float(payload))
    return b"slept"


def crash(payload: bytes) -> bytes:
    os.kill(os.getpid(), signal.SIGKILL)
    return b""


def leave(payload: bytes) -> bytes:
    sys.exit(3)


def fail(payload: bytes) -> bytes:
    raise ValueError("it went wrong")


def bad_input(payload: bytes) -> bytes:
    raise TaskError("not a payload of mine")


def not_bytes(payload: bytes) -> bytes:
    return "text"  # type: ignore[return-value]


def chatter(payload: bytes) -> bytes:
    print("a task prints")
    return b""


def grandchild(payload: bytes) -> bytes:
    child = subprocess.Popen(["sleep", "60"])
    with open(payload.decode(), "w") as file:
        file.write(str(child.pid))
    time.sleep(60)
    return b""


def note(payload: bytes) -> bytes:
    path, text = payload.decode().split()
    with open(path, "a") as file:
        file.write(f"{text}\n")
    return b""


def until(payload: bytes) -> bytes:
    """Note its process in one file, then wait until the other exists."""
    begun, go_on = payload.decode().split()
    with open(begun, "a") as file:
        file.write(f"{os.getpid()}\n")
    while not os.path.exists(go_on):
        time.sleep(0.005)
    return b"went on"


TASKS: dict[str, Callable[[bytes], bytes]] = {
    "echo": lambda payload: payload,
    "sleep": sleep,
    "touch_then_sleep": touch_then_sleep,
    "crash": crash,
    "exit": leave,
    "fail": fail,
    "bad_input": bad_input,
    "grow": lambda payload: b"x" * int(payload),
    "not_bytes": not_bytes,
    "print": chatter,
    "pid": lambda payload: str(os.getpid()).encode(),
    "threads": lambda payload: os.environ["OMP_NUM_THREADS"].encode(),
    "grandchild": grandchild,
    "hog": lambda payload: bytes(len(bytearray(int(payload))) and 1),
    "note": note,
    "until": until,
}


def run_task(kind: str, payload: bytes) -> bytes:
    if kind not in TASKS:
        raise UnknownKindError(f"no task {kind!r}")
    return TASKS[kind](payload)
