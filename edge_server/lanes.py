"""A few connections to one server, each carrying one request at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from edge_server.client import EdgeClient
from offload.cancellation import Cancellation
from offload.errors import RemoteCancelled, RemoteTimeout

BULK_BYTES = 65_536
"""From this size a payload is bulk: it takes longer on the link than a small one should wait."""


class Lanes:
    """Gives out connections, and keeps some of them free of bulk. Any thread.

    A message has its connection to itself until it is answered, so a small one never waits behind
    the bytes of a large one in the same TCP stream. No more than half of the connections carry
    bulk, so one is soon free for a small one.

    Args:
        clients: one a connection, two at least.
    """

    def __init__(self, clients: Sequence[EdgeClient]) -> None:
        self._idle = list(clients)  # the one whose task ended last comes last
        self._quiet_since_s = {id(client): 0.0 for client in clients}
        self._busy: list[EdgeClient] = []
        self._bulk_left = len(clients) // 2
        self._renewals = 0
        self._changed = threading.Condition()

    @contextmanager
    def lane(
        self, payload_bytes: int, deadline_s: float, cancellation: Cancellation
    ) -> Iterator[EdgeClient]:
        """A connection for one request.

        Args:
            payload_bytes: decides whether it is bulk.
            deadline_s: on the monotonic clock; no longer is waited for one.
            cancellation: ends the wait too.

        Raises:
            RemoteCancelled: the caller wants none any more.
            RemoteTimeout: none became free.
        """
        bulk = int(payload_bytes >= BULK_BYTES)
        with cancellation.waking(self._wake), self._changed:
            free = self._changed.wait_for(
                lambda: cancellation.wished or (self._idle and (not bulk or self._bulk_left)),
                max(0.0, deadline_s - time.monotonic()),
            )
            if cancellation.wished:
                raise RemoteCancelled("the caller cancelled it before it had a connection")
            if not free:
                raise RemoteTimeout(
                    "every connection was in use for the whole budget", unanswered=False
                )
            client = self._idle.pop()  # the one used last: its window is open
            self._busy.append(client)
            self._bulk_left -= bulk
            renewals = self._renewals
        try:
            yield client
        finally:
            if renewals != self._renewals:
                client.reconnect()
            self._return(client, bulk)

    @contextmanager
    def longest_idle(self) -> Iterator[EdgeClient | None]:
        """The connection that was not used for the longest time; None: all are in use."""
        with self._changed:
            client = min(self._idle, key=self._quiet_since, default=None)
            if client is not None:
                self._idle.remove(client)
        try:
            yield client
        finally:
            if client is not None:
                self._return(client, 0, ran_a_task=False)

    def renew(self) -> None:
        """Drop every connection and make it anew; one in use, when its request has ended."""
        with self._changed:
            self._renewals += 1
            for client in self._idle:
                client.reconnect()

    def acknowledged(self) -> dict[int, int]:
        """Of each connection in use: how many bytes the server's kernel has acknowledged.

        More of them at a second look show that the link carries something.
        """
        with self._changed:
            counts = {id(client): client.acknowledged_bytes() for client in self._busy}
        return {which: count for which, count in counts.items() if count is not None}

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _quiet_since(self, client: EdgeClient) -> float:
        return self._quiet_since_s[id(client)]

    def _return(self, client: EdgeClient, bulk: int, *, ran_a_task: bool = True) -> None:
        with self._changed:
            self._quiet_since_s[id(client)] = time.monotonic()
            if ran_a_task:
                self._busy.remove(client)
                self._idle.append(client)
            else:
                self._idle.insert(0, client)
            self._bulk_left += bulk
            self._changed.notify_all()
