"""The worker process: reads a job, runs it, writes the result, until the server is gone.

Started by :mod:`edge_server.executors.process` as ``python -m edge_server.worker`` with one end of
a socket pair; it has no other input. It imports nothing but the standard library and the error tree
until a job needs more. A result is written before the next job is begun, so that whatever happens,
the server knows which job a worker that died was at.
"""

from __future__ import annotations

import ctypes
import io
import os
import resource
import signal
import sys
import time
import traceback
from typing import NamedTuple

from edge_server.executors.frames import FRAME, LARGE_BYTES, Tag
from edge_server.executors.shared_area import SharedArea
from edge_server.task_registry import UnknownKindError
from offload.errors import ConfigError, RemoteFailure, TaskError
from offload.task_function import RunTask, function_at

_PR_SET_PDEATHSIG = 1
_BUFFER_BYTES = 65_536
_JOINED_BYTES = 4096
"""Up to this size header and body are joined and written at once, which is less work than two."""
_SMALLEST_COMPRESSED_BYTES = 1024
MAX_MESSAGE_CHARS = 1000
"""Of an error; the server cuts it to what the protocol allows."""
_OUT_OF_MEMORY = b"the task took more memory than a worker may have"


class Result(NamedTuple):
    """What became of a job: how it ended, the task's seconds, its output or a message."""

    tag: Tag
    seconds: float
    body: bytes
    zstd_bytes: int = 0


def die_with(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent ends (Linux: PR_SET_PDEATHSIG)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:  # it ended before the request was made
        os._exit(1)


def limit_memory(limit_bytes: int) -> None:
    """Let this process have so many bytes of private writable memory; more is a MemoryError.

    RLIMIT_DATA counts what a task really makes its own. RLIMIT_AS would count address space that
    libraries only reserve, several GiB of it in ONNX Runtime or CUDA, and a watch on resident
    memory would see a fast allocation only when the machine is out of memory already.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))


class Channel:
    """The worker's end: the socket pair, and the areas for large inputs and outputs."""

    def __init__(self, descriptor: int, inputs: int, outputs: int) -> None:
        self._descriptor = descriptor
        self._jobs = io.BufferedReader(io.FileIO(descriptor), _BUFFER_BYTES)
        self._inputs, self._outputs = SharedArea(inputs), SharedArea(outputs)
        os.close(inputs)
        os.close(outputs)

    def run_next(self, run_task: RunTask, max_output_bytes: int) -> Result | None:
        """Read a job and run it; None when there will be no more."""
        header = self._jobs.read(FRAME.size)
        if len(header) < FRAME.size:
            return None
        tag, deadline_s, zstd_bytes, inline, shared, kind_bytes = FRAME.unpack(header)
        try:
            kind = self._jobs.read(kind_bytes).decode()
            payload = self._inputs.take(shared) if shared else self._jobs.read(inline)
        except MemoryError:
            return Result(Tag.OUT_OF_MEMORY, 0.0, _OUT_OF_MEMORY)
        if len(payload) < inline:
            return None
        if time.monotonic() >= deadline_s:
            return Result(Tag.EXPIRED, 0.0, b"")
        accept_zstd = tag == Tag.RUN_ACCEPT_ZSTD
        return run_job(run_task, kind, payload, zstd_bytes, accept_zstd, max_output_bytes)

    def write(self, result: Result) -> None:
        """Write a result."""
        body = result.body
        size = len(body)
        in_area = size >= LARGE_BYTES and self._outputs.put(body)
        inline, shared = (0, size) if in_area else (size, 0)
        header = FRAME.pack(result.tag, result.seconds, result.zstd_bytes, inline, shared, 0)
        if in_area:
            parts = [memoryview(header)]
        elif size <= _JOINED_BYTES:
            parts = [memoryview(header + body)]
        else:
            parts = [memoryview(header), memoryview(body)]
        while parts:
            written = os.writev(self._descriptor, parts)
            while parts and written >= len(parts[0]):
                written -= len(parts.pop(0))
            if written:
                parts[0] = parts[0][written:]


def main(
    descriptor: int,
    inputs: int,
    outputs: int,
    parent_pid: int,
    memory_bytes: int,
    max_output_bytes: int,
    run_task: str,
) -> None:
    """Serve jobs from the socket pair until its other end is closed."""
    die_with(parent_pid)
    # The server alone decides when a worker ends: a terminal's ^C or a service manager's SIGTERM
    # to the whole group must not turn a draining job into worker_died.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    limit_memory(memory_bytes)
    function = function_at(run_task)
    channel = Channel(descriptor, inputs, outputs)
    try:
        channel.write(Result(Tag.READY, 0.0, b""))
        while (result := channel.run_next(function, max_output_bytes)) is not None:
            channel.write(result)
            if result.tag is Tag.OUT_OF_MEMORY:
                return  # who knows what was left half done
    except ConnectionError:
        return  # the server closed its end


def run_job(
    run_task: RunTask,
    kind: str,
    payload: bytes,
    zstd_bytes: int,
    accept_zstd: bool,
    max_output_bytes: int,
) -> Result:
    """Run one job, whatever it does.

    Args:
        zstd_bytes: the payload's bytes once decompressed; 0: it is not compressed.
        accept_zstd: the output may be compressed.
        max_output_bytes: a larger output, before it is compressed, stays here.
    """
    start_s = time.perf_counter()
    try:
        if zstd_bytes:
            from edge_server.compression import decompress

            payload = decompress(payload, zstd_bytes)
        start_s = time.perf_counter()
        output = run_task(kind, payload)
        seconds = time.perf_counter() - start_s
        if not isinstance(output, bytes):
            raise TypeError(f"task {kind!r} returned {type(output).__name__}, not bytes")
        if len(output) > max_output_bytes:
            message = f"answer of {len(output)} bytes; the limit is {max_output_bytes}"
            return Result(Tag.TOO_LARGE, seconds, message.encode())
        if accept_zstd:
            return _compressed(output, seconds)
        return Result(Tag.OK, seconds, output)
    except UnknownKindError as error:
        tag, message = Tag.UNKNOWN_KIND, str(error)
    except (TaskError, ConfigError, RemoteFailure) as error:
        tag, message = Tag.BAD_INPUT, str(error)
    except MemoryError:
        return Result(Tag.OUT_OF_MEMORY, time.perf_counter() - start_s, _OUT_OF_MEMORY)
    except Exception as error:  # a task's own bug is an answer, not the end of its worker
        traceback.print_exc(file=sys.stderr)
        tag, message = Tag.FAILED, f"{type(error).__name__}: {error}"
    body = message[:MAX_MESSAGE_CHARS].encode(errors="replace")
    return Result(tag, time.perf_counter() - start_s, body)


def _compressed(output: bytes, seconds: float) -> Result:
    """The output for a client that takes zstd: compressed where that makes it smaller."""
    from edge_server.compression import AVAILABLE, compress

    if AVAILABLE and len(output) >= _SMALLEST_COMPRESSED_BYTES:
        frame = compress(output)
        if len(frame) < len(output):
            return Result(Tag.OK, seconds, frame, len(output))
    return Result(Tag.OK, seconds, output)


if __name__ == "__main__":
    n = [int(text) for text in sys.argv[1:7]]
    main(n[0], n[1], n[2], n[3], n[4], n[5], sys.argv[7])
