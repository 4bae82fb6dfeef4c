"""How long a small request takes while a large one is sent: one connection, and the pool's several.

python benchmarks/small_behind_large.py

A request of 100 bytes now and then, on an emulated link, while a 5 MB input goes up again and
again. On one connection the small one stands in the same TCP stream, behind the large one's bytes;
in the pool it has a connection of its own, and shares the link's queue alone.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import tyro
import zmq
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.edge_load import SPIN, running_server
from edge_server.pool import EdgePool
from edge_server.pool_config import PoolConfig
from edge_server.protocol import Ping, Run, decode_reply, encode, new_task_id
from netem import open_link
from offload.errors import RemoteError
from offload.link_profiles import get_profile
from offload.types import TaskInstance

_GAP_S = 0.2
_BUDGET_S = 120.0
_NO_WORK = b"0"


@dataclass(frozen=True)
class Config:
    """What to time."""

    profile: str = "lte"
    large_bytes: int = 5_000_000
    small: int = 20
    """Small requests of each way."""


Small = Callable[[], float]


@contextmanager
def idle_link(at: tuple[str, int], config: Config) -> Iterator[Small]:
    """The small request alone."""
    with pool(at) as edge:
        yield lambda: small_in(edge)


@contextmanager
def one_connection(at: tuple[str, int], config: Config) -> Iterator[Small]:
    """Both on one connection; a ping stands for the small request."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(f"tcp://{at[0]}:{at[1]}")
        numbers = iter(range(1, 2**31))

        def small() -> float:
            run = Run(next(numbers), SPIN, 100_000, new_task_id())
            socket.send_multipart([encode(run), _NO_WORK.ljust(config.large_bytes)])
            time.sleep(_GAP_S)  # the large one is under way
            began_s, number = time.monotonic(), next(numbers)
            socket.send_multipart([encode(Ping(number)), bytes(100)])
            while decode_reply(socket.recv_multipart()[0]).id != number:
                pass
            return time.monotonic() - began_s

        yield small


@contextmanager
def several(at: tuple[str, int], config: Config) -> Iterator[Small]:
    """The pool, in which a thread sends large ones one after the other."""
    over = threading.Event()
    with pool(at) as edge:

        def send() -> None:
            payload = _NO_WORK.ljust(config.large_bytes)
            while not over.is_set():
                try:
                    edge.execute(TaskInstance(SPIN, "", 0), payload, _BUDGET_S)
                except RemoteError as error:
                    print(f"a large one failed: {error}", file=sys.stderr)

        thread = threading.Thread(target=send)
        thread.start()
        time.sleep(1.0)
        yield lambda: small_in(edge)
        over.set()
        thread.join()


@contextmanager
def pool(at: tuple[str, int]) -> Iterator[EdgePool]:
    """A pool that is connected."""
    with closing(EdgePool(*at, config=PoolConfig(heartbeat_timeout_s=5.0))) as edge:
        for _ in range(4):
            small_in(edge)
        yield edge


def small_in(edge: EdgePool) -> float:
    """Seconds of one small request."""
    time.sleep(_GAP_S)
    began_s = time.monotonic()
    edge.execute(TaskInstance(SPIN, "", 0), _NO_WORK.ljust(100), _BUDGET_S)
    return time.monotonic() - began_s


def main(config: Config) -> None:
    """Measure and print."""
    table = Table(title=f"{config.profile}: 100 bytes beside {config.large_bytes / 1e6:g} MB")
    for name in ("", "median, ms", "slowest, ms"):
        table.add_column(name, justify="right")
    with open_link(get_profile(config.profile), "proxy") as link, running_server() as port:
        at = link.reach(port)
        for name, way in (
            ("idle link", idle_link),
            ("one connection", one_connection),
            ("pool", several),
        ):
            with way(at, config) as small:
                count = config.small if way is not one_connection else min(3, config.small)
                seconds = [small() for _ in range(count)]
            table.add_row(
                f"{name} ({count} requests)",
                f"{statistics.median(seconds) * 1e3:.0f}",
                f"{max(seconds) * 1e3:.0f}",
            )
        print(link.reason)
    Console().print(table)


if __name__ == "__main__":
    main(tyro.cli(Config))
