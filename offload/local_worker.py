"""The child process of :class:`offload.local_executor.LocalExecutor`: runs tasks, one at a time.

Started as ``python -m offload.local_worker FD PARENT_PID MODULE:NAME``; FD is its end of a socket
pair, the last names the function that runs a task. Frames on the pair are a length (8 bytes,
big-endian) and a msgpack message; never a pickle.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
import time
import traceback

import msgspec

from offload.errors import ConfigError, TaskError
from offload.task_function import RunTask, function_at
from offload.tasks import get_task

LENGTH = struct.Struct("!Q")
MAX_FRAME_BYTES = 256 * 1024 * 1024
_PARENT_POLL_S = 0.2


class Order(msgspec.Struct, array_like=True):
    """Run ``kind`` on ``payload``."""

    kind: str
    payload: bytes


class Report(msgspec.Struct, array_like=True):
    """What came of an order: an output, or the TaskError's message; and the time it took."""

    output: bytes | None
    error: str
    wall_s: float
    cpu_s: float


def send_frame(channel: socket.socket, message: msgspec.Struct) -> None:
    """Send one message.

    Raises:
        TimeoutError: the channel's timeout passed.
        OSError: the other side is gone.
    """
    body = msgspec.msgpack.encode(message)
    channel.sendall(LENGTH.pack(len(body)))
    channel.sendall(body)


def receive_frame(channel: socket.socket) -> bytearray:
    """Receive one message, still encoded.

    Raises:
        EOFError: the other side is gone.
        TimeoutError: the channel's timeout passed.
    """
    (length,) = LENGTH.unpack(_receive(channel, LENGTH.size))
    if length > MAX_FRAME_BYTES:
        raise EOFError(f"a frame of {length} bytes; at most {MAX_FRAME_BYTES} are taken")
    return _receive(channel, length)


def _receive(channel: socket.socket, length: int) -> bytearray:
    data = bytearray(length)
    view = memoryview(data)
    done = 0
    while done < length:
        count = channel.recv_into(view[done:])
        if count == 0:
            raise EOFError("the other side closed the channel")
        done += count
    return data


def main() -> None:
    """Serve orders until the channel closes."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    run_task = function_at(sys.argv[3])
    with socket.socket(fileno=descriptor) as channel:
        try:
            send_frame(channel, Report(b"", "", 0.0, 0.0))  # ready
            while True:
                order = msgspec.msgpack.decode(receive_frame(channel), type=Order)
                send_frame(channel, _obey(run_task, order))
        except (EOFError, ConnectionError):
            return  # the other side has ended, or was killed


def run_project_task(kind: str, payload: bytes) -> bytes:
    """Run one of the project's own tasks.

    Raises:
        TaskError: no such task on this machine, or it does not take this payload.
    """
    return get_task(kind).run(payload)


def _obey(run_task: RunTask, order: Order) -> Report:
    # Wall time is the device's latency; CPU time says how much of it was work.
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        output = run_task(order.kind, order.payload)
        if not isinstance(output, bytes):
            raise TypeError(f"task {order.kind!r} returned {type(output).__name__}, not bytes")
    except (TaskError, ConfigError) as error:
        return Report(None, str(error), 0.0, 0.0)
    except Exception as error:  # a task's own bug is an answer, not the end of this process
        traceback.print_exc(file=sys.stderr)
        return Report(None, f"{type(error).__name__}: {error}", 0.0, 0.0)
    return Report(output, "", time.perf_counter() - wall, time.process_time() - cpu)


def _die_with(parent: int) -> None:
    """End this process when its parent has ended, be it in the midst of a task.

    Not PR_SET_PDEATHSIG: that fires when the *thread* that started the child ends, and an executor
    may restart its child from any thread.
    """
    while os.getppid() == parent:
        time.sleep(_PARENT_POLL_S)
    os._exit(1)


if __name__ == "__main__":
    main()
