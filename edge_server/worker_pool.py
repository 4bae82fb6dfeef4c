"""Worker processes and their channels: starts, feeds, hears, kills and replaces them.

Each worker has a socket pair of its own, so a worker that is killed at any moment, even while it
writes, harms no other. No thread and no lock is involved: the server's one loop polls
:meth:`WorkerPool.descriptors` beside its sockets.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import zmq

from edge_server.dispatcher import Buffer, TaskResult
from edge_server.protocol import ErrorCode
from edge_server.worker import FRAME, Tag, reference

RunTask: TypeAlias = Callable[[str, bytes], bytes]

# A task uses one thread: two workers on two cores must not fight over them. ONNX Runtime reads no
# variable, its sessions must be made with intra_op_num_threads=1.
_ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "OPENCV_FOR_THREADS_NUM",
    ),
    "1",
)
_RESULT_CODES = {
    Tag.OK: None,
    Tag.UNKNOWN_KIND: ErrorCode.UNKNOWN_KIND,
    Tag.BAD_INPUT: ErrorCode.BAD_REQUEST,
    Tag.FAILED: ErrorCode.TASK_FAILED,
}
_READ_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker has started."""

    worker: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The worker has a result."""

    worker: int
    result: TaskResult


@dataclass(frozen=True, slots=True)
class Gone:
    """The worker's process has ended; ``was_ready`` is False when it never got to start."""

    worker: int
    was_ready: bool


WorkerEvent: TypeAlias = Ready | Finished | Gone


@dataclass(slots=True, eq=False)
class _Worker:
    number: int
    process: subprocess.Popen[bytes]
    channel: socket.socket
    pidfd: int
    was_ready: bool = False
    outgoing: list[memoryview] = field(default_factory=list)
    incoming: bytearray = field(default_factory=bytearray)


class WorkerPool:
    """A changing set of worker processes, each known by a number that is never used twice.

    Args:
        run_task: a top-level function of an importable module, ``(kind, payload) -> bytes``.
    """

    def __init__(self, run_task: RunTask) -> None:
        self._run_task = reference(run_task)
        self._workers: dict[int, _Worker] = {}
        self._by_descriptor: dict[int, _Worker] = {}
        self._started = 0

    def __len__(self) -> int:
        """Workers whose process has not ended."""
        return len(self._workers)

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.process.pid for worker in self._workers.values()]

    def descriptors(self) -> Iterator[tuple[int, int]]:
        """(file descriptor, poll flags) of everything the pool waits for."""
        for worker in self._workers.values():
            flags = zmq.POLLIN | (zmq.POLLOUT if worker.outgoing else 0)
            yield worker.channel.fileno(), flags
            yield worker.pidfd, zmq.POLLIN

    def start(self) -> int:
        """Start a worker; :class:`Ready` follows."""
        ours, theirs = socket.socketpair()
        with theirs:
            environment = {
                **os.environ,
                **_ONE_THREAD,
                "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
            }
            descriptor_and_parent = str(theirs.fileno()), str(os.getpid())
            process = subprocess.Popen(
                # -P: the working directory is not importable unless it was for the server.
                [sys.executable, "-P", "-m", "edge_server.worker", *descriptor_and_parent],
                stdin=subprocess.DEVNULL,
                stdout=2,  # stdout belongs to the server's one line
                env=environment,
                pass_fds=[theirs.fileno()],
                process_group=0,  # so that a kill also reaches what a task started
            )
        ours.setblocking(False)
        number = self._started
        self._started += 1
        worker = _Worker(number, process, ours, os.pidfd_open(process.pid))
        self._workers[number] = worker
        self._by_descriptor[ours.fileno()] = worker
        self._by_descriptor[worker.pidfd] = worker
        self._enqueue(worker, Tag.RUN_TASK, self._run_task.encode())
        return number

    def send(self, number: int, kind: str, payload: Buffer) -> None:
        """Give the worker a job. What the socket pair does not take now goes out on polling."""
        worker = self._workers[number]
        self._enqueue(worker, Tag.KIND, kind.encode())
        self._enqueue(worker, Tag.PAYLOAD, payload)

    def handle(self, descriptor: int, flags: int) -> list[WorkerEvent]:
        """Act on what polling said of one of :meth:`descriptors`."""
        worker = self._by_descriptor.get(descriptor)
        if worker is None:  # closed by an earlier event of the same poll
            return []
        if descriptor == worker.pidfd:
            events = self._read(worker)  # a result written before the end still counts
            return [*events, self._reap(worker)]
        if flags & zmq.POLLOUT:
            self._flush(worker)
        return self._read(worker) if flags & ~zmq.POLLOUT else []

    def kill(self, number: int) -> None:
        """Kill the worker and all that its task started; :class:`Gone` follows."""
        if number in self._workers:
            _kill_group(self._workers[number].process)

    def close(self) -> None:
        """Kill every worker and wait for its end."""
        for worker in list(self._workers.values()):
            self._reap(worker)

    def _enqueue(self, worker: _Worker, tag: Tag, data: Buffer) -> None:
        worker.outgoing.append(memoryview(FRAME.pack(tag, 0.0, len(data))))
        if len(data):
            worker.outgoing.append(memoryview(data).cast("B"))
        self._flush(worker)

    def _flush(self, worker: _Worker) -> None:
        while worker.outgoing:
            try:
                sent = worker.channel.sendmsg(worker.outgoing)
            except BlockingIOError:
                return
            except ConnectionError:
                worker.outgoing.clear()  # it is dying: the pidfd tells the rest
                return
            while worker.outgoing and sent >= len(worker.outgoing[0]):
                sent -= len(worker.outgoing.pop(0))
            if sent:
                worker.outgoing[0] = worker.outgoing[0][sent:]

    def _read(self, worker: _Worker) -> list[WorkerEvent]:
        """Every whole frame the worker has written."""
        events: list[WorkerEvent] = []
        while True:
            try:
                data = worker.channel.recv(_READ_BYTES)
            except BlockingIOError:
                break
            except ConnectionError:
                data = b""
            if not data:
                # A worker that closed its channel but lives on is of no use to anyone.
                _kill_group(worker.process)
                break
            worker.incoming += data
        while len(worker.incoming) >= FRAME.size:
            tag, seconds, length = FRAME.unpack_from(worker.incoming)
            end = FRAME.size + length
            if len(worker.incoming) < end:
                break
            body = bytes(memoryview(worker.incoming)[FRAME.size : end])
            del worker.incoming[:end]
            events.append(self._event(worker, Tag(tag), seconds, body))
        return events

    def _event(self, worker: _Worker, tag: Tag, seconds: float, body: bytes) -> WorkerEvent:
        if tag == Tag.READY:
            worker.was_ready = True
            return Ready(worker.number)
        code = _RESULT_CODES[tag]
        if code is None:
            return Finished(worker.number, TaskResult(body, seconds))
        message = body.decode(errors="replace")
        return Finished(worker.number, TaskResult(b"", seconds, code, message))

    def _reap(self, worker: _Worker) -> Gone:
        # The group is killed before the process is waited for: until then its id is not reused.
        _kill_group(worker.process)
        worker.process.wait()
        del self._workers[worker.number]
        del self._by_descriptor[worker.channel.fileno()]
        del self._by_descriptor[worker.pidfd]
        worker.channel.close()
        os.close(worker.pidfd)
        return Gone(worker.number, worker.was_ready)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            process.kill()
