"""What shows that a server is down, and what does not, with connections that are made up."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest
from running_edge_server import wait_until

from edge_server.heartbeat import Heartbeat
from edge_server.pool_config import PoolConfig
from offload.errors import RemoteTimeout


class Silent:
    """A connection whose pings are not answered."""

    def __init__(self) -> None:
        self.pinged = threading.Semaphore(0)

    def ping(self, timeout_s: float) -> float:
        self.pinged.release()
        raise RemoteTimeout("no answer")


class Connections:
    """One of them idle; of those in use, what was acknowledged before and after each ping."""

    def __init__(self, *looks: dict[int, int]) -> None:
        self._looks = looks
        self._taken = 0
        self.client = Silent()
        self.renewals = 0

    @contextlib.contextmanager
    def longest_idle(self) -> Iterator[Silent]:
        yield self.client

    def acknowledged(self) -> dict[int, int]:
        self._taken += 1
        return self._looks[(self._taken - 1) % len(self._looks)]

    def renew(self) -> None:
        self.renewals += 1


@pytest.mark.parametrize(
    ("before", "after", "is_down"),
    [
        ({}, {}, True),
        ({1: 10}, {1: 10}, True),
        ({1: 10}, {1: 11}, False),
        ({1: 10, 2: 7}, {1: 10, 2: 8}, False),
        ({}, {1: 10}, True),  # a request that has come meanwhile shows nothing
        ({1: 10}, {2: 10}, True),
        ({1: 10}, {1: 3}, True),  # that connection was made anew
    ],
)
def test_an_unanswered_ping_while_nothing_is_acknowledged_means_down(before, after, is_down):
    lanes = Connections(before, after)
    config = PoolConfig(heartbeat_s=0.01, heartbeat_timeout_s=0.01)
    heartbeat = Heartbeat(lanes, config, watched=False)  # type: ignore[arg-type]
    with contextlib.closing(heartbeat):
        for _ in range(3):
            assert lanes.client.pinged.acquire(timeout=30.0)
        assert wait_until(lambda: heartbeat.is_down) if is_down else not heartbeat.is_down
    assert lanes.renewals == is_down
    assert ("no answer" in heartbeat.why_down) == is_down
