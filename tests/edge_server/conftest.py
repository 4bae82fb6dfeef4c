"""Real servers on random ports, and a check that each test leaves nothing behind."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import pytest
import zmq
from raw_client import RawClient
from running_edge_server import RunningServer, children, open_descriptors, wait_until

from edge_server.client import EdgeClient
from edge_server.config import ServerConfig
from edge_server.pool import EdgePool
from edge_server.pool_config import PoolConfig
from edge_server.protocol import Cancel, Request, decode_request
from edge_server.security.keys import ClientKeys


@pytest.fixture(scope="session")
def _pyzmq_warm() -> None:
    """Have pyzmq open what it keeps open for good (its thread for frames sent without a copy)."""
    with zmq.Context() as context, context.socket(zmq.PAIR) as a, context.socket(zmq.PAIR) as b:
        a.bind("inproc://warm")
        b.connect("inproc://warm")
        a.send(bytes(100_000), copy=False)
        b.recv()


@pytest.fixture(autouse=True)
def _nothing_left(_pyzmq_warm: None) -> Iterator[None]:
    processes, descriptors, threads = children(), open_descriptors(), threading.active_count()
    yield
    assert wait_until(lambda: children() <= processes, 3), children() - processes
    assert wait_until(lambda: open_descriptors() <= descriptors, 3), (
        open_descriptors() - descriptors
    )
    assert wait_until(lambda: threading.active_count() <= threads, 3), threading.enumerate()


StartServer = Callable[..., RunningServer]
Connect = Callable[..., EdgeClient]
Pools = Callable[..., EdgePool]


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Start servers with the tests' tasks; keywords are those of ServerConfig."""
    started: list[RunningServer] = []

    def start(**settings: object) -> RunningServer:
        config = ServerConfig(**{"port": 0, "workers": 1, **settings})  # type: ignore[arg-type]
        started.append(RunningServer(config))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Make clients that are closed with the test."""
    clients: list[EdgeClient] = []

    def make(port: int, **settings: object) -> EdgeClient:
        clients.append(EdgeClient(port=port, **settings))  # type: ignore[arg-type]
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def pool() -> Iterator[Pools]:
    """Make pools that are closed with the test; keywords are those of PoolConfig."""
    with contextlib.ExitStack() as stack:

        def make(port: int, **settings: object) -> EdgePool:
            config = PoolConfig(seed=1, **settings)  # type: ignore[arg-type]
            return stack.enter_context(EdgePool(port=port, config=config))

        yield make


RawConnect = Callable[..., RawClient]


@pytest.fixture
def raw() -> Iterator[RawConnect]:
    """Make clients that speak the protocol by hand, closed with the test."""
    clients: list[RawClient] = []
    with zmq.Context() as context:

        def make(port: int, keys: ClientKeys | None = None) -> RawClient:
            clients.append(RawClient(context, port, keys))
            return clients[-1]

        yield make
        for client in clients:
            client.close()


Handler = Callable[[Request, bytes], list[list[bytes]]]


@pytest.fixture
def fake_server() -> Iterator[Callable[..., int]]:
    """A server in a thread that answers each request with whatever messages the handler makes.

    Cancels are put into a list, if one is given, and not shown to the handler.
    """
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def start(handler: Handler, cancels: list[Cancel] | None = None) -> int:
        ports: list[int] = []
        bound = threading.Event()

        def serve() -> None:
            with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
                router.setsockopt(zmq.LINGER, 0)
                ports.append(router.bind_to_random_port("tcp://127.0.0.1"))
                bound.set()
                while not stop.is_set():
                    if router.poll(20):
                        peer, header, payload = router.recv_multipart()
                        request = decode_request(header)
                        if isinstance(request, Cancel):
                            cancels is None or cancels.append(request)
                            continue
                        for frames in handler(request, payload):
                            router.send_multipart([peer, *frames])

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        assert bound.wait(5)
        return ports[0]

    yield start
    stop.set()
    for thread in threads:
        thread.join(5)
