"""The processes of a testbed: read what they say in bounded time, and end them."""

from __future__ import annotations

import contextlib
import re
import select
import subprocess
import time
from collections.abc import Callable

from offload.errors import OffloadError

_START_TIMEOUT_S = 30.0
_END_TIMEOUT_S = 20.0  # killed, the device could not remove its CPU group
_LOOK_S = 0.2
_PORT = re.compile(rb":(\d+)\b")


class TestbedError(OffloadError):
    """A part of the testbed did not start, or died."""

    __test__ = False


def read_line(
    process: subprocess.Popen[bytes],
    what: str,
    timeout_s: float = _START_TIMEOUT_S,
    meanwhile: Callable[[], None] | None = None,
) -> bytes:
    """One line of a process's output, or a TestbedError in bounded time.

    ``meanwhile`` is called a few times a second until the line is there; what it raises goes up.
    """
    stdout = process.stdout
    if stdout is None:
        raise TestbedError(f"{what} has no output")
    until = time.monotonic() + timeout_s
    while not select.select([stdout], [], [], max(0.0, min(_LOOK_S, until - time.monotonic())))[0]:
        if time.monotonic() >= until:
            raise TestbedError(f"{what} said nothing for {timeout_s:.0f} s")
        if meanwhile is not None:
            meanwhile()
    line = stdout.readline()
    if not line:
        raise TestbedError(f"{what} ended with status {process.wait()}; its error is above")
    return line


def write_line(process: subprocess.Popen[bytes], what: str, line: bytes) -> None:
    """Send a process one line, or a TestbedError if it is gone."""
    stdin = process.stdin
    if stdin is None:
        raise TestbedError(f"{what} has no input")
    try:
        stdin.write(line + b"\n")
        stdin.flush()
    except BrokenPipeError:
        raise TestbedError(f"{what} has died") from None


def named_port(process: subprocess.Popen[bytes], what: str) -> int:
    """The port that a server names in its first line, or a TestbedError."""
    line = read_line(process, what)
    found = _PORT.search(line)
    if found is None:
        raise TestbedError(f"{what} names no port: {line!r}")
    return int(found[1])


def end_process(process: subprocess.Popen[bytes]) -> None:
    """End a process, first by closing its input, then by SIGTERM, then by SIGKILL."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()
    process.terminate()
    try:
        process.wait(_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
