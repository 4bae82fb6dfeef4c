"""A server to put under load, and loads to put it under; what the edge benchmarks share."""

from __future__ import annotations

import heapq
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import zmq

from edge_server.config import ServerConfig
from edge_server.protocol import Done, Failed, Run, decode_reply, encode, new_task_id
from edge_server.security.keys import ClientKeys
from edge_server.server import EdgeServer
from edge_server.watching.logs import configure_logs
from offload.errors import OffloadError

HOST = "127.0.0.1"
NO_OP = "echo"
"""Gives its input back."""
SPIN = "spin"
"""Uses the CPU for as many seconds as its input says."""
_HURRY_MS = 60_000


def run_task(kind: str, payload: bytes) -> bytes:
    """The tasks of the benchmarks, for workers of any sort."""
    if kind == SPIN:
        end_s = time.thread_time() + float(payload)
        while time.thread_time() < end_s:
            pass
        return b""
    return payload


def _serve(config: ServerConfig, port: multiprocessing.connection.Connection) -> None:
    configure_logs(config.log_format, config.log_level)
    with EdgeServer(config, run_task=run_task) as server:
        server.stop_on_signals()
        server.start()
        port.send(server.port)
        server.serve()


@contextmanager
def running_server(
    *,
    workers: int = 2,
    queue: int = 256,
    keys: Path | None = None,
    max_open: int = 16,
    metrics_port: int | None = None,
    log_format: Literal["text", "json"] = "text",
) -> Iterator[int]:
    """A server in a process of its own; gives its port."""
    config = ServerConfig(
        port=0,
        workers=workers,
        queue=queue,
        keys=keys,
        max_open=max_open,
        metrics_port=metrics_port,
        log_format=log_format,
    )
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(config, theirs))
    process.start()
    theirs.close()  # so that a server that does not start is an EOFError here
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()
        ours.close()


class EdgeWire:
    """The bare protocol on one connection, one request after the other."""

    def __init__(self, port: int, kind: str = NO_OP, keys: ClientKeys | None = None) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = dealer(self._context, port, keys)
        self._kind = kind
        self._last_id = 0

    def __enter__(self) -> EdgeWire:
        return self

    def __exit__(self, *raised: object) -> None:
        self._socket.close()
        self._context.term()

    def __call__(self, payload: bytes) -> int:
        """Have the payload's task run; the bytes of its answer."""
        return len(self.run(self._kind, payload))

    def run(self, kind: str, payload: bytes) -> memoryview:
        """Have a task run; its output."""
        self._last_id += 1
        run = Run(self._last_id, kind, _HURRY_MS, new_task_id())
        self._socket.send(encode(run), zmq.SNDMORE)
        self._socket.send(payload, 0, copy=len(payload) < 65_536)
        header, output = self._socket.recv_multipart(copy=False)
        reply = decode_reply(header.bytes)
        if not isinstance(reply, Done):
            raise OffloadError(f"the task failed: {reply}")
        return output.buffer


def dealer(
    context: zmq.Context[zmq.Socket[bytes]], port: int, keys: ClientKeys | None = None
) -> zmq.Socket[bytes]:
    """A client's socket, connected."""
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, 0)
    socket.setsockopt(zmq.RCVHWM, 0)
    if keys is not None:
        keys.apply(socket)
    socket.connect(f"tcp://{HOST}:{port}")
    return socket


def throughput(port: int, requests: int, clients: int, open_each: int = 16) -> float:
    """No-op tasks of 100 B a second, while each client keeps so many requests open.

    The requests' headers are made before the clock starts; each answer is read and checked.
    """
    payload = bytes(100)
    each = requests // clients
    with zmq.Context() as context, ExitStack() as stack:
        poller = zmq.Poller()
        headers: dict[zmq.Socket[bytes], Iterator[bytes]] = {}
        for _ in range(clients):
            socket = stack.enter_context(dealer(context, port))
            made = [encode(Run(i, NO_OP, _HURRY_MS, new_task_id())) for i in range(1, each + 1)]
            headers[socket] = iter(made)
            poller.register(socket, zmq.POLLIN)
        received = 0
        start_s = time.perf_counter()
        for socket, run in headers.items():
            for _, header in zip(range(open_each), run, strict=False):
                socket.send(header, zmq.SNDMORE)
                socket.send(payload)
        while received < each * clients:
            for socket, _ in poller.poll():
                try:
                    while True:
                        reply = decode_reply(socket.recv(zmq.NOBLOCK))
                        socket.recv()
                        if not isinstance(reply, Done):
                            raise OffloadError(f"the task failed: {reply}")
                        received += 1
                        header = next(headers[socket], b"")
                        if header:
                            socket.send(header, zmq.SNDMORE)
                            socket.send(payload)
                except zmq.Again:
                    continue
        return received / (time.perf_counter() - start_s)


@dataclass(slots=True)
class Offered:
    """What became of the tasks of an open loop.

    Attributes:
        sent: tasks.
        answered: by ``ok`` or the error code.
        seconds: from the time a task was due to its answer, of those that were done.
        late_starts_s: how late the generator itself was at worst.
    """

    sent: int = 0
    answered: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    late_starts_s: float = 0.0

    def goodput(self, deadline_s: float, duration_s: float) -> float:
        """Tasks done within the deadline, a second."""
        return sum(s <= deadline_s for s in self.seconds) / duration_s


def open_loop(
    port: int,
    rate_hz: float,
    duration_s: float,
    *,
    kind: str = SPIN,
    payload: bytes = b"0.005",
    deadline_s: float = 0.25,
    clients: int = 20,
    seed: int = 0,
) -> Offered:
    """Tasks that arrive by chance (Poisson), whoever still waits; every one is waited for.

    Raises:
        OffloadError: a task was not answered within its deadline and a second more.
    """
    rng = np.random.default_rng(seed)
    due = np.cumsum(rng.exponential(1 / rate_hz, int(rate_hz * duration_s)))
    offered = Offered(sent=len(due))
    with zmq.Context() as context, ExitStack() as stack:
        sockets = [stack.enter_context(dealer(context, port)) for _ in range(clients)]
        poller = zmq.Poller()
        for socket in sockets:
            poller.register(socket, zmq.POLLIN)
        arrivals = [(float(at_s), number) for number, at_s in enumerate(due, 1)]
        heapq.heapify(arrivals)
        waiting: dict[int, float] = {}
        start_s = time.perf_counter()
        end_s = float(due[-1]) + deadline_s + 1.0
        while arrivals or waiting:
            now_s = time.perf_counter() - start_s
            while arrivals and arrivals[0][0] <= now_s:
                at_s, number = heapq.heappop(arrivals)
                waiting[number] = at_s
                offered.late_starts_s = max(offered.late_starts_s, now_s - at_s)
                run = Run(number, kind, int(deadline_s * 1000), new_task_id())
                sockets[number % clients].send_multipart([encode(run), payload])
            if now_s > end_s:
                raise OffloadError(f"{len(waiting)} tasks were never answered")
            wait_s = arrivals[0][0] - now_s if arrivals else 0.05
            for socket, _ in poller.poll(max(0, int(wait_s * 1000))):
                header, _ = socket.recv_multipart()
                reply = decode_reply(header)
                at_s = waiting.pop(reply.id)
                offered.answered[reply.code if isinstance(reply, Failed) else "ok"] += 1
                if isinstance(reply, Done):
                    offered.seconds.append(time.perf_counter() - start_s - at_s)
    return offered
