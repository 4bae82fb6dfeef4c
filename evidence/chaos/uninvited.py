"""The row of clients that were not let in: nothing that they send may be delivered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from edge_server.client import EdgeClient
from edge_server.protocol import Ping, encode
from edge_server.security.allow_list import authorize
from edge_server.security.authenticator import Authenticator
from edge_server.security.keys import ClientKeys, KeyPair
from edge_server.security.server_folder import clients_folder, make_pair, make_server_folder
from evidence.chaos.parts import ChaosError, Server
from evidence.chaos.rows import Bound, RowRun, at_least, exactly

_TOGETHER = 10
_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_DISCONNECTED
)
_EVENTS = _FAILED | zmq.EVENT_HANDSHAKE_SUCCEEDED
_PATIENCE_S = 10.0
_SETTLE_MS = 300


@dataclass(frozen=True, slots=True)
class Attempt:
    """How a client tries to get in.

    Attributes:
        keys: what it holds; None: no keys.
        plain: it offers a user name and a password instead.
    """

    keys: ClientKeys | None
    plain: bool = False

    def apply(self, socket: zmq.Socket[bytes]) -> None:
        """Set it on a socket that is not connected yet."""
        if self.plain:
            socket.setsockopt(zmq.PLAIN_USERNAME, b"admin")
            socket.setsockopt(zmq.PLAIN_PASSWORD, b"admin")
        if self.keys is not None:
            self.keys.apply(socket)


def unauthenticated(run: RowRun) -> list[Bound]:
    """No key, wrong key, wrong server key, PLAIN; wrong domain, authenticator ended.

    The first four are tried on a server that also serves an authorised client, whose own messages
    are the only ones it may count. The other two are the server's side being wrong, so they are
    tried on a socket made of the same parts.
    """
    folder = run.folder / "keys"
    server_pair = KeyPair.load(make_server_folder(folder))
    good_file = make_pair(run.folder / "client", "good")
    authorize(clients_folder(folder), good_file.with_suffix(".key"))
    good = ClientKeys(KeyPair.load(good_file), server_pair.public)
    attempts = {
        "no key": Attempt(None),
        "wrong key": Attempt(replace(good, own=KeyPair.generate())),
        "wrong server key": Attempt(replace(good, server_public=KeyPair.generate().public)),
        "PLAIN": Attempt(None, plain=True),
    }
    bounds: list[Bound] = []
    with (
        Server(run.history, {"workers": 1, "keys": folder}) as server,
        EdgeClient(port=server.port, keys=good) as client,
    ):
        for what, attempt in attempts.items():
            received = client.stats(_PATIENCE_S).received
            refused = knock(server.port, attempt, run.count)
            delivered = client.stats(_PATIENCE_S).received - received - 1  # its own query
            bounds += _bounds(what, run.count, delivered, refused)
            run.progress(run.count)
    for what in ("wrong domain", "authenticator ended"):
        with _bare_server(server_pair, good) as (router, port, authenticator):
            if knock(port, Attempt(good), 1) or not router.poll(_SETTLE_MS):
                raise ChaosError("the right key was not let in, so nothing is shown")
            _drain(router)
            if what == "wrong domain":
                router, port = _bind(router.context, server_pair, b"another")
            else:
                authenticator.close()
            with router:
                refused = knock(port, Attempt(good), run.count)
                router.poll(_SETTLE_MS)
                bounds += _bounds(what, run.count, _drain(router), refused)
    return bounds


def knock(port: int, attempt: Attempt, count: int) -> int:
    """Connect so often, each time with a message to send; how many saw their handshake end badly.

    Raises:
        ChaosError: one saw its handshake end in no way at all.
    """
    refused = 0
    for first in range(0, count, _TOGETHER):
        # A context each: closed sockets of one count until its reaper comes to them.
        context: zmq.Context[Any] = zmq.Context()
        try:
            together = range(min(_TOGETHER, count - first))
            knocking = [_Knock(context, port, attempt) for _ in together]
            refused += sum(knock.was_refused() for knock in knocking)
        finally:
            context.destroy(linger=0)
    return refused


class _Knock:
    """One client that has a message for the server."""

    def __init__(self, context: zmq.Context[Any], port: int, attempt: Attempt) -> None:
        self._socket: zmq.Socket[bytes] = context.socket(zmq.DEALER)
        attempt.apply(self._socket)
        self._monitor = self._socket.get_monitor_socket(_EVENTS)
        self._socket.connect(f"tcp://127.0.0.1:{port}")
        with suppress(zmq.Again):  # refused already, and nowhere to send to
            self._socket.send_multipart([encode(Ping(1)), b""], zmq.NOBLOCK)

    def was_refused(self) -> bool:
        until_s = time.monotonic() + _PATIENCE_S
        while self._monitor.poll(max(0, int((until_s - time.monotonic()) * 1000))):
            event = parse_monitor_message(self._monitor.recv_multipart())["event"]
            if event & _FAILED:
                return True
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                return False
        raise ChaosError("a handshake neither succeeded nor failed")


@contextmanager
def _bare_server(
    pair: KeyPair, client: ClientKeys
) -> Iterator[tuple[zmq.Socket[bytes], int, Authenticator]]:
    """A socket with keys and an authenticator, without the rest of a server."""
    with zmq.Context() as context:
        authenticator = Authenticator(context, lambda public: public == client.own.public)
        router, port = _bind(context, pair, None)
        try:
            with router:
                yield router, port, authenticator
        finally:
            authenticator.close()


def _bind(
    context: zmq.Context[Any], pair: KeyPair, domain: bytes | None
) -> tuple[zmq.Socket[bytes], int]:
    router: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
    router.setsockopt(zmq.LINGER, 0)
    pair.serve(router)
    if domain is not None:
        router.setsockopt(zmq.ZAP_DOMAIN, domain)
    return router, router.bind_to_random_port("tcp://127.0.0.1")


def _drain(router: zmq.Socket[bytes]) -> int:
    """Frames that have come, routing ids left out."""
    frames = 0
    while router.poll(0):
        frames += len(router.recv_multipart()) - 1
    return frames


def _bounds(what: str, count: int, delivered: int, refused: int) -> list[Bound]:
    return [
        exactly(f"{what}: delivered", 0, delivered),
        at_least(f"{what}: handshakes that ended badly", count, refused),
    ]
