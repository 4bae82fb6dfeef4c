"""The server's end of one worker process: its start, its channel, its end.

Each worker has a socket pair of its own, so a worker that is killed at any moment, even while it
writes, harms no other. Nothing here waits, but for the end of a process that was just killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys

from edge_server.executors.frames import FRAME, LARGE_BYTES, Tag
from edge_server.executors.results import task_result
from edge_server.executors.shared_area import SharedArea, area_descriptor
from edge_server.jobs import Buffer, Job, TaskResult

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
_READ_BYTES = 65_536
_CHANNEL_BYTES = 2**20
"""Asked of the kernel for each direction; it gives what net.core.wmem_max allows."""


class WorkerProcess:
    """A worker that was started when this object was made.

    Attributes:
        number: its name for the server.
        was_ready: it has said that it is ready.
        outgoing: what the channel has not taken yet.

    Raises:
        OSError: there is no descriptor or no process to be had; nothing is left behind.
    """

    def __init__(
        self, number: int, run_task: str, memory_bytes: int, max_output_bytes: int
    ) -> None:
        self.number = number
        self.was_ready = False
        self.outgoing: list[Buffer] = []
        self._rest = b""  # of a frame that has not come whole
        self._body: memoryview | None = None  # a large body that is coming in
        self._filled = 0
        self._header: tuple[int, float, int] = (0, 0.0, 0)
        with contextlib.ExitStack() as spent, contextlib.ExitStack() as kept:
            self.channel, theirs = socket.socketpair()
            kept.enter_context(self.channel)
            spent.enter_context(theirs)
            for end in (self.channel, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _CHANNEL_BYTES)
            inputs = area_descriptor()
            spent.callback(os.close, inputs)
            outputs = area_descriptor()
            spent.callback(os.close, outputs)
            self._inputs, self._outputs = SharedArea(inputs), SharedArea(outputs)
            kept.callback(self._inputs.close)
            kept.callback(self._outputs.close)
            environment = {
                **os.environ,
                **_ONE_THREAD,
                "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
            }
            descriptors = (theirs.fileno(), inputs, outputs)
            limits = memory_bytes, max_output_bytes
            arguments = [str(number) for number in (*descriptors, os.getpid(), *limits)]
            self.process = subprocess.Popen(
                # -P: the working directory is not importable unless it was for the server.
                [sys.executable, "-P", "-m", "edge_server.worker", *arguments, run_task],
                stdin=subprocess.DEVNULL,
                stdout=2,  # stdout belongs to the server's one line
                env=environment,
                pass_fds=descriptors,
                process_group=0,  # so that a kill also reaches what a task started
            )
            kept.callback(self.process.wait)
            kept.callback(self.kill)
            self.pidfd = os.pidfd_open(self.process.pid)
            kept.pop_all()
        self.channel.setblocking(False)

    def submit(self, job: Job) -> None:
        """Put a job behind what is to be written."""
        kind = job.kind.encode()
        tag = Tag.RUN_ACCEPT_ZSTD if job.accept_zstd else Tag.RUN
        size = len(job.payload)
        in_area = size >= LARGE_BYTES and self._inputs.put(job.payload)
        inline, shared = (0, size) if in_area else (size, 0)
        header = FRAME.pack(tag, job.deadline_s, job.zstd_bytes, inline, shared, len(kind))
        if in_area:
            self.outgoing.append(header + kind)
        elif size < LARGE_BYTES:
            self.outgoing.append(b"".join((header, kind, job.payload)))
        else:
            self.outgoing += (header + kind, memoryview(job.payload).cast("B"))

    def flush(self) -> None:
        """Write what the channel takes now."""
        while self.outgoing:
            try:
                sent = self.channel.sendmsg(self.outgoing[:64])
            except BlockingIOError:
                return
            except ConnectionError:
                self.outgoing.clear()  # it is dying: the pidfd tells the rest
                return
            done = 0
            while done < len(self.outgoing) and sent >= len(self.outgoing[done]):
                sent -= len(self.outgoing[done])
                done += 1
            del self.outgoing[:done]
            if sent:
                self.outgoing[0] = memoryview(self.outgoing[0])[sent:]

    def read(self) -> list[TaskResult]:
        """The results that have come; its being ready is noted in :attr:`was_ready`."""
        results: list[TaskResult] = []
        while True:
            try:
                if self._body is None:
                    asked = _READ_BYTES
                    data = self.channel.recv(asked)
                    count = len(data)
                    if count:
                        self._parse(self._rest + data if self._rest else data, results)
                else:
                    asked = len(self._body) - self._filled
                    count = self.channel.recv_into(self._body[self._filled :])
                    self._fill(count, results)
            except BlockingIOError:
                return results
            except ConnectionError:
                count = 0
            if not count:
                # A worker that closed its channel but lives on is of no use to anyone.
                self.kill()
            if not count or count < asked:
                return results

    def _parse(self, data: bytes, results: list[TaskResult]) -> None:
        """Take every whole frame from ``data`` and keep the rest."""
        at, end = 0, len(data)
        while end - at >= FRAME.size:
            tag, seconds, zstd_bytes, size, shared, _ = FRAME.unpack_from(data, at)
            start = at + FRAME.size
            if shared:
                self._take(tag, seconds, zstd_bytes, self._outputs.take(shared), results)
                at = start
                continue
            if size >= LARGE_BYTES:
                self._header = tag, seconds, zstd_bytes
                self._body = memoryview(bytearray(size))
                self._filled = min(size, end - start)
                self._body[: self._filled] = data[start : start + self._filled]
                at = start + self._filled
                self._fill(0, results)
                if self._body is not None:
                    break
                continue
            if end - start < size:
                break
            at = start + size
            self._take(tag, seconds, zstd_bytes, data[start:at], results)
        self._rest = data[at:]

    def _fill(self, count: int, results: list[TaskResult]) -> None:
        """So many more bytes of the large body have come."""
        assert self._body is not None
        self._filled += count
        if self._filled == len(self._body):
            body, self._body = self._body, None
            self._take(*self._header, body, results)

    def _take(
        self, tag: int, seconds: float, zstd_bytes: int, body: Buffer, results: list[TaskResult]
    ) -> None:
        if tag == Tag.READY:
            self.was_ready = True
        else:
            results.append(task_result(tag, seconds, body, zstd_bytes))

    def kill(self) -> None:
        """Kill it and all that its task started; the pidfd tells of its end."""
        if self.process.returncode is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                self.process.kill()

    def reap(self) -> None:
        """Take in its end, which a kill has to have been the cause of, or will be now."""
        # The group is killed before the process is waited for: until then its id is not reused.
        self.kill()
        self.process.wait()
        self.channel.close()
        os.close(self.pidfd)
        self._inputs.close()
        self._outputs.close()
