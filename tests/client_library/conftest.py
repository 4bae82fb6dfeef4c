"""Programs against real servers; whatever they start ends with them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import edge_server_tasks
import pytest
import zmq
from running_edge_server import RunningServer, children, open_descriptors, wait_until

from client_library import ClientConfig, Offloader, connect
from edge_server.config import ServerConfig
from edge_server.pool_config import PoolConfig


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    with zmq.Context() as context, context.socket(zmq.PAIR) as a, context.socket(zmq.PAIR) as b:
        a.bind("inproc://warm")  # pyzmq keeps its thread for frames sent without a copy
        b.connect("inproc://warm")
        a.send(bytes(100_000), copy=False)
        b.recv()
    processes, descriptors, threads = children(), open_descriptors(), threading.active_count()
    yield
    assert wait_until(lambda: children() <= processes, 3), children() - processes
    assert wait_until(lambda: open_descriptors() <= descriptors, 3)
    assert wait_until(lambda: threading.active_count() <= threads, 3), threading.enumerate()


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """One with the tests' tasks; what is cancelled there is killed at once."""
    running = RunningServer(ServerConfig(port=0, workers=2, queue=64, overrun_grace_s=0.0))
    yield running
    running.stop()


@pytest.fixture
def port(server: RunningServer) -> int:
    """Of that server."""
    return server.port


@pytest.fixture
def offloader() -> Iterator[Callable[..., Offloader]]:
    """Make offloaders with the tests' tasks; keywords are those of ClientConfig."""
    with contextlib.ExitStack() as stack:

        def make(port: int, **settings: object) -> Offloader:
            config = ClientConfig(**{"pool": PoolConfig(connections=2), **settings})  # type: ignore[arg-type]
            made = connect(port=port, run_task=edge_server_tasks.run_task, config=config)
            return stack.enter_context(made)

        yield make
