"""The edge server: one loop over a ROUTER socket and the worker processes' channels."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import socket
import time
from collections import Counter
from typing import Any

import zmq

from edge_server import task_registry
from edge_server.compression import AVAILABLE as ZSTD_AVAILABLE
from edge_server.compression import decompress
from edge_server.config import ServerConfig
from edge_server.dispatcher import Answer, Buffer, Dispatcher, Instruction, Job, Start, TaskResult
from edge_server.protocol import (
    FRAMES,
    Done,
    ErrorCode,
    Failed,
    Ping,
    Pong,
    ProtocolError,
    Reply,
    Run,
    Stats,
    Times,
    check_frames,
    clock_name,
    decode_request,
    encode,
    short_message,
)
from edge_server.security.gate import FRAME_SLACK_BYTES, Gate
from edge_server.sockets import (
    LINGER_MS,
    ZERO_COPY_BYTES,
    bounded_socket,
    set_congestion_control,
)
from edge_server.worker_pool import Finished, Gone, Ready, RunTask, WorkerEvent, WorkerPool
from offload.errors import BackendError, ConfigError

_log = logging.getLogger(__name__)
_START_S = 30.0
_RESTART_DELAY_S = 0.5
_MESSAGES_A_TURN = 64


class EdgeServer:
    """Runs allow-listed tasks for clients; see docs/protocol.md.

    The socket is bound when the object is made, so :attr:`port` is known and a taken port is
    reported before any process starts. :meth:`start`, :meth:`serve` and :meth:`close` belong to
    one thread; :meth:`stop` may be called from any thread. For signals there is
    :meth:`stop_on_signals`.

    Args:
        config: the settings.
        run_task: what a worker calls, ``(kind, payload) -> bytes``: a top-level function of an
            importable module. The default runs the project's own tasks.

    Raises:
        ConfigError: the port is taken, the address is not this machine's, ``run_task`` cannot be
            imported, or the keys are missing or badly guarded.
    """

    def __init__(self, config: ServerConfig, *, run_task: RunTask = task_registry.run_task) -> None:
        self._config = config
        self._pool = WorkerPool(run_task)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._gate = Gate(self._context, config)
        self._dispatcher = Dispatcher(config.queue, config.max_task_s, config.overrun_grace_s)
        self._clock_name = clock_name()
        self._counts: Counter[str] = Counter()
        self._received = self._replaced = self._undeliverable = 0
        self._started_s = time.monotonic()
        self._restart_at_s: float | None = None
        self._stops = 0
        self._on_signals = False
        self._socket = bounded_socket(
            self._context, zmq.ROUTER, config.max_message_bytes + FRAME_SLACK_BYTES
        )
        try:
            self._bind()
        except ConfigError:
            self._gate.close()
            self._context.destroy(linger=0)
            raise
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> EdgeServer:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return int(self.endpoint.rpartition(":")[2])

    @property
    def endpoint(self) -> str:
        """``tcp://address:port`` as bound."""
        return self._endpoint

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the workers, for measurements."""
        return self._pool.pids

    def start(self) -> None:
        """Start the workers and wait until each is ready.

        Raises:
            BackendError: a worker ended before it was ready, or took too long.
        """
        for _ in range(self._config.workers):
            self._pool.start()
        deadline_s = time.monotonic() + _START_S
        while self._dispatcher.ready < self._config.workers:
            if time.monotonic() > deadline_s:
                raise BackendError(f"the workers were not ready after {_START_S:g} s")
            for descriptor, flags in zmq.zmq_poll(list(self._pool.descriptors()), 100):
                for event in self._pool.handle(descriptor, flags):
                    if isinstance(event, Gone):
                        raise BackendError("a worker process ended before it was ready")
                    self._on_worker(event)
        self._started_s = time.monotonic()

    def serve(self) -> None:
        """Serve until :meth:`stop` is called and the running tasks have ended (or ``grace_s``)."""
        while not self._dispatcher.drained:
            watched: list[tuple[Any, int]] = [
                (self._socket, zmq.POLLIN),
                (self._wake_read, zmq.POLLIN),
                *self._pool.descriptors(),
            ]
            ready = zmq.zmq_poll(watched, self._poll_ms())
            self._tick()
            self._gate.look_if_due()
            for source, flags in ready:
                if source is self._socket:
                    self._receive_messages()
                elif source == self._wake_read:
                    self._on_stop()
                else:
                    for event in self._pool.handle(source, flags):
                        self._on_worker(event)
        self._receive_messages()  # what came in meanwhile is answered shutting_down

    def stop(self) -> None:
        """Ask :meth:`serve` to drain and return. The second call ends the grace period."""
        if not self._context.closed:
            with contextlib.suppress(BlockingIOError):  # a full pipe wakes the loop as well
                os.write(self._wake_write, b"x")

    def stop_on_signals(self) -> None:
        """Have SIGTERM and SIGINT stop this server; to be called in the main thread.

        The bytes are written by the interpreter's own C handler. A Python handler alone could be
        put off for ever: it runs only after the poll that the signal came just too early to break.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda signum, frame: None)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._on_signals = True

    def close(self) -> None:
        """Kill the workers, close the sockets. Replies already written get a bounded time."""
        if self._context.closed:
            return
        self._pool.close()
        self._gate.close()
        self._socket.close(linger=LINGER_MS)
        self._context.term()
        if self._on_signals:
            signal.set_wakeup_fd(-1)
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _bind(self) -> None:
        config = self._config
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        host = f"[{config.bind}]" if ":" in config.bind else config.bind
        self._socket.setsockopt(zmq.IPV6, int(":" in config.bind))
        self._gate.secure(self._socket)
        try:
            self._socket.bind(f"tcp://{host}:{config.port or '*'}")
            if config.congestion_control is not None:
                self._set_congestion_control(config.congestion_control)
        except zmq.ZMQError as error:
            reasons = {
                zmq.EADDRINUSE: "the port is taken; choose another with --port, or --port 0",
                zmq.EADDRNOTAVAIL: "the address is not one of this machine's",
                errno.ENODEV: "the address is not one of this machine's",
            }
            reason = reasons.get(error.errno or 0, str(error))
            raise ConfigError(f"cannot listen on {config.bind}:{config.port}: {reason}") from error
        self._endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def _set_congestion_control(self, name: str) -> None:
        """Set it on the listening socket, from which every accepted connection inherits it."""
        descriptor = self._gate.listening_descriptor()
        if descriptor is None:
            raise ConfigError(f"congestion control {name!r}: the listening socket is not known")
        with socket.socket(fileno=os.dup(descriptor)) as listening:
            set_congestion_control(listening, name)

    def _poll_ms(self) -> int:
        own = (self._dispatcher.next_tick_s(), self._restart_at_s)
        times = [self._gate.next_look_s, *(t for t in own if t is not None)]
        return max(0, int((min(times) - time.monotonic()) * 1000) + 1)

    def _tick(self) -> None:
        now_s = time.monotonic()
        self._act(self._dispatcher.tick(now_s))
        if self._restart_at_s is not None and now_s >= self._restart_at_s:
            self._restart_at_s = None
            while len(self._pool) < self._config.workers:
                self._pool.start()

    def _on_stop(self) -> None:
        self._stops += len(os.read(self._wake_read, 64))
        grace_s = self._config.grace_s if self._stops == 1 else 0.0
        self._act(self._dispatcher.drain(time.monotonic(), grace_s))

    def _on_worker(self, event: WorkerEvent) -> None:
        now_s = time.monotonic()
        match event:
            case Ready(worker):
                self._act(self._dispatcher.worker_ready(worker, now_s))
            case Finished(worker, result):
                self._act(self._dispatcher.worker_result(worker, result, now_s))
            case Gone(worker, was_ready):
                _log.warning("worker %d has ended; another takes its place", worker)
                self._replaced += 1
                self._act(self._dispatcher.worker_gone(worker))
                if was_ready and not self._dispatcher.draining:
                    self._pool.start()
                elif not self._dispatcher.draining:  # it cannot start: do not spin
                    self._restart_at_s = now_s + _RESTART_DELAY_S

    def _act(self, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Start(worker, job):
                    self._pool.send(worker, job.kind, job.payload)
                case Answer(job, result):
                    self._answer(job, result)
                case _:
                    self._pool.kill(instruction.worker)

    def _receive_messages(self) -> None:
        """Read what has come; some messages a turn at most, so that workers are heard too."""
        for _ in range(_MESSAGES_A_TURN):
            try:
                peer = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            received_s = time.monotonic()
            self._received += 1
            try:
                self._on_message(peer, received_s)
            except ProtocolError as error:
                code = ErrorCode(error.code)
                self._refuse(peer, error.request_id, code, error.message, received_s)

    def _on_message(self, peer: bytes, received_s: float) -> None:
        """Read the rest of one message and act on it.

        Raises:
            ProtocolError: it breaks a rule; every frame of it has been read.
        """
        sizes: list[int] = []
        frames: list[zmq.Frame] = []
        while self._socket.rcvmore:
            frame = self._socket.recv(copy=False)
            sizes.append(len(frame))
            if len(frames) < FRAMES:  # the rest is counted, not kept
                frames.append(frame)
        if not frames:
            raise ProtocolError(ErrorCode.BAD_REQUEST, "a message without a header frame")
        admitted = self._gate.admits(peer, frames[0])
        request = decode_request(frames[0].bytes)
        if not admitted:
            raise ProtocolError(ErrorCode.UNAUTHORISED, "this key was revoked", request.id)
        zstd_bytes = request.zstd_bytes if isinstance(request, Run) else 0
        check_frames(sizes, self._config.max_message_bytes, request.id, zstd_bytes)
        if isinstance(request, Run):
            payload: Buffer = frames[1].buffer if sizes[1] >= ZERO_COPY_BYTES else frames[1].bytes
            if zstd_bytes:
                payload = decompress(payload, zstd_bytes, request_id=request.id)
            deadline_s = received_s + request.budget_ms / 1e3
            job = Job(peer, request.id, request.kind, payload, received_s, deadline_s)
            self._act(self._dispatcher.admit(job, received_s))
        elif isinstance(request, Ping):
            times = self._times(received_s)
            queue_s = self._dispatcher.expected_queue_s()
            limit = self._config.max_message_bytes
            self._send(peer, Pong(request.id, times, limit, queue_s, ZSTD_AVAILABLE))
        else:
            self._send(peer, self._stats(request.id, received_s))

    def _answer(self, job: Job, result: TaskResult) -> None:
        size = len(result.output)
        if result.code is not None:
            code, message = result.code, result.message
        elif size > self._config.max_message_bytes:
            code = ErrorCode.TOO_LARGE
            message = f"answer of {size} bytes; the limit is {self._config.max_message_bytes}"
        else:
            self._counts["ok"] += 1
            times = self._times(job.received_s, result.compute_s)
            self._send(job.peer, Done(job.request_id, times), result.output)
            return
        self._refuse(
            job.peer, job.request_id, code, message, job.received_s, compute_s=result.compute_s
        )

    def _refuse(
        self,
        peer: bytes,
        request_id: int,
        code: ErrorCode,
        message: str,
        received_s: float,
        *,
        compute_s: float = 0.0,
    ) -> None:
        _log.info("request %d: %s: %s", request_id, code, message)
        self._counts[code] += 1
        times = self._times(received_s, compute_s)
        self._send(peer, Failed(request_id, code, short_message(message), times))

    def _send(self, peer: bytes, header: Reply, payload: Buffer = b"") -> None:
        encoded = encode(header)
        if not self._gate.has_room(peer, len(encoded) + len(payload)):
            self._undeliverable += 1
            return
        try:
            self._socket.send(peer, zmq.NOBLOCK | zmq.SNDMORE)
            self._socket.send(encoded, zmq.NOBLOCK | zmq.SNDMORE)
            self._socket.send(payload, zmq.NOBLOCK, copy=len(payload) < ZERO_COPY_BYTES)
        except zmq.ZMQError as error:
            # EHOSTUNREACH: the client has gone. EAGAIN: it does not read. Neither may stop others.
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            self._undeliverable += 1

    def _times(self, received_s: float, compute_s: float = 0.0) -> Times:
        return Times(received_s, time.monotonic(), self._clock_name, compute_s)

    def _stats(self, request_id: int, received_s: float) -> Stats:
        return Stats(
            request_id,
            self._times(received_s),
            uptime_s=time.monotonic() - self._started_s,
            workers=self._dispatcher.ready,
            busy=self._dispatcher.busy,
            queued=self._dispatcher.queued,
            received=self._received,
            answered=dict(self._counts),
            workers_replaced=self._replaced,
            undeliverable=self._undeliverable,
        )
