"""Bare echoes to measure the edge server against: nothing in them but the way there and back."""

from __future__ import annotations

import multiprocessing
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq

from benchmarks.edge_load import HOST, dealer

Call = Callable[[bytes], int]
"""Sends a payload, returns the bytes that came back."""
ZERO_COPY_BYTES = 65_536


def _read(connection: socket.socket, view: memoryview) -> bool:
    """Fill the view; False at the end of the stream."""
    while view:
        count = connection.recv_into(view)
        if not count:
            return False
        view = view[count:]
    return True


def _tcp_echo(size: int, port: multiprocessing.connection.Connection) -> None:
    with socket.create_server((HOST, 0)) as listening:
        port.send(listening.getsockname()[1])
        connection, _ = listening.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            data = bytearray(size)
            while _read(connection, memoryview(data)):
                connection.sendall(data)


@contextmanager
def tcp_echo(size: int) -> Iterator[Call]:
    """A plain socket and a process that sends whole messages of that size back."""
    with _process(_tcp_echo, size) as port, socket.create_connection((HOST, port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = bytearray(size)

        def call(payload: bytes) -> int:
            connection.sendall(payload)
            _read(connection, memoryview(data))
            return len(data)

        yield call


def _router_echo(_: object, port: multiprocessing.connection.Connection) -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        port.send(router.bind_to_random_port(f"tcp://{HOST}"))
        while True:
            router.send_multipart(router.recv_multipart(copy=False), copy=False)


@contextmanager
def router_echo() -> Iterator[Call]:
    """One ROUTER whose own process sends back what comes: the least that ZeroMQ can cost."""
    with _process(_router_echo, None) as port, _zmq_client(port) as call:
        yield call


def _zmq_worker(endpoint: str, ready: multiprocessing.connection.Connection) -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as worker:
        worker.connect(endpoint)
        ready.send(0)
        while True:
            frames = worker.recv_multipart(copy=False)
            worker.send_multipart(frames, copy=False)


def _zmq_proxy(endpoint: str, port: multiprocessing.connection.Connection) -> None:
    with (
        zmq.Context() as context,
        context.socket(zmq.ROUTER) as front,
        context.socket(zmq.DEALER) as back,
    ):
        number = front.bind_to_random_port(f"tcp://{HOST}")
        back.bind(endpoint)
        port.send(number)
        zmq.proxy(front, back)


@contextmanager
def zmq_echo(workers: int) -> Iterator[Call]:
    """ROUTER, libzmq's own proxy in C, and worker processes that send back what comes."""
    with tempfile.TemporaryDirectory() as folder:
        endpoint = f"ipc://{Path(folder) / 'workers'}"
        with (
            _process(_zmq_proxy, endpoint) as port,
            _processes(_zmq_worker, endpoint, workers),
            _zmq_client(port) as call,
        ):
            yield call


@contextmanager
def _zmq_client(port: int) -> Iterator[Call]:
    """A DEALER that sends messages as long as a request's."""
    with zmq.Context() as context, dealer(context, port) as client:
        header = os.urandom(60)

        def call(payload: bytes) -> int:
            client.send(header, zmq.SNDMORE)
            client.send(payload, 0, copy=len(payload) < ZERO_COPY_BYTES)
            return len(client.recv_multipart(copy=False)[-1])

        yield call


@contextmanager
def _process(target: Callable[..., None], argument: object) -> Iterator[int]:
    """A process that says its port."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=target, args=(argument, theirs), daemon=True)
    process.start()
    theirs.close()  # so that one that does not start is an EOFError here
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()
        ours.close()


@contextmanager
def _processes(target: Callable[..., None], argument: object, count: int) -> Iterator[None]:
    if count == 0:
        yield
        return
    with _process(target, argument), _processes(target, argument, count - 1):
        yield
