"""The server's gate: who is let in, what each may make the server hold, and what came of it."""

from __future__ import annotations

import logging
import resource
import time
from collections import Counter

import zmq

from edge_server.config import ServerConfig
from edge_server.protocol import MAX_HEADER_BYTES
from edge_server.security.allow_list import AllowList
from edge_server.security.authenticator import Authenticator
from edge_server.security.connection_record import Connection
from edge_server.security.connections import Connections
from edge_server.security.keys import KeyPair
from edge_server.security.server_folder import clients_folder, server_secret

FRAME_SLACK_BYTES = 2**20
"""Frames a little over the limit are read, so that they get a typed answer; far larger ones make
libzmq close the connection."""
_HANDSHAKE_MS = 10_000
"""libzmq's own default is 30 s; a handshake takes three round trips."""
_OWN_DESCRIPTORS, _DESCRIPTORS_A_WORKER = 40, 8
_log = logging.getLogger(__name__)


class Gate:
    """Stands before one ROUTER socket; belongs to the thread of that socket.

    Args:
        context: the server's context.
        config: the settings; with ``keys`` only clients on the allow-list get in.

    Raises:
        ConfigError: a key file or folder is missing, or others may tamper with it.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], config: ServerConfig) -> None:
        self._context = context
        self._config = config
        self._pair: KeyPair | None = None
        self._allowed: AllowList | None = None
        self._authenticator: Authenticator | None = None
        self._connections: Connections | None = None
        self._by_peer: dict[bytes, Connection] = {}
        self._version = 0
        if config.keys is not None:
            self._pair = KeyPair.load(server_secret(config.keys))
            self._allowed = AllowList(clients_folder(config.keys))
        elif config.is_exposed:
            _log.warning("anybody who reaches %s can run tasks here: no keys", config.bind)

    @property
    def next_look_s(self) -> float:
        """When :meth:`look_if_due` has something to do, on the monotonic clock."""
        return self._guarded.next_look_s

    @property
    def connections(self) -> int:
        """TCP connections that are open, those that never spoke included."""
        return len(self._guarded)

    @property
    def counts(self) -> Counter[str]:
        """Handshakes ``accepted`` and ``refused``, connections ``closed_*`` by reason.

        Of the refused, ``not_authorised`` and ``too_often`` had a key.
        """
        counts = self._guarded.counts.copy()
        if self._authenticator is not None:
            counts.update(self._authenticator.counts)
        return counts

    @property
    def locked(self) -> bool:
        """The authenticator has died: nobody new gets in until the server is started anew."""
        return self._authenticator is not None and not self._authenticator.alive

    def secure(self, socket: zmq.Socket[bytes]) -> None:
        """Put the bounds and, where there are keys, CURVE on a socket that is not bound yet."""
        config = self._config
        socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        if self._pair is not None and self._allowed is not None:
            allowed = self._allowed
            self._authenticator = Authenticator(
                self._context, lambda public: allowed.name_of(public) is not None
            )
            self._pair.serve(socket)
        self._connections = Connections(
            socket,
            config.max_message_bytes + MAX_HEADER_BYTES + FRAME_SLACK_BYTES,
            config.max_heap_bytes,
            _most_connections(config),
        )

    def listening_descriptor(self) -> int | None:
        """The listening socket's, to be asked right after the bind; None: not told in time."""
        return self._guarded.listening_descriptor()

    def admits(self, peer: bytes, header: zmq.Frame) -> bool:
        """Is who sent this message let in (still)? To be asked of every message, with its header.

        Args:
            peer: the ROUTER's routing id of the sender.
            header: any frame of the message that came over the wire.
        """
        connection = self._by_peer.get(peer) or self._identify(peer, header)
        connection.heard = connection.spoke = True
        return connection.admitted

    def user_of(self, peer: bytes) -> bytes | None:
        """The public key (Z85) of a peer whose message was just asked about; None without keys."""
        connection = self._by_peer.get(peer)
        return None if connection is None else connection.user

    def has_room(self, peer: bytes, n_bytes: int) -> bool:
        """May an answer of that size be handed to ZeroMQ, or does the peer leave too much unread?

        An answer that has room is counted as handed over.
        """
        connection = self._by_peer.get(peer)
        return connection is None or self._guarded.has_room(connection, n_bytes)

    def look_if_due(self) -> None:
        """Enforce the bounds and the allow-list as it is now; to be called once a turn."""
        if time.monotonic() < self._guarded.next_look_s:
            return
        if self._allowed is not None:
            self._allowed.refresh()
            if self._allowed.version != self._version:
                self._version = self._allowed.version
                self._guarded.shut_where(self._is_revoked, "revoked")
        self._guarded.look()
        self._by_peer = {c.peer: c for c in self._guarded if c.peer is not None}

    def close(self) -> None:
        """End the authenticator and the watch over the socket; before the socket is closed."""
        if self._authenticator is not None:
            self._authenticator.close()
        if self._connections is not None:
            self._connections.close()

    @property
    def _guarded(self) -> Connections:
        if self._connections is None:
            raise RuntimeError("secure() comes first")
        return self._connections

    def _identify(self, peer: bytes, header: zmq.Frame) -> Connection:
        """The connection of a message, from what libzmq noted on its frame."""
        try:
            connection = self._guarded.of(int(header.get(zmq.SRCFD)))
            if connection.peer not in (None, peer):
                connection = Connection()  # the sender has gone, its descriptor is another's now
            if self._allowed is not None:
                connection.user = str(header.get("User-Id")).encode()
                connection.admitted = not self._is_revoked(connection)
        except zmq.ZMQError:
            # A peer that speaks ZMTP 1 or 2: libzmq notes nothing on what it sends. With keys there
            # are none, since libzmq refuses them in the handshake.
            return Connection(admitted=self._allowed is None)
        # Also one that has ended, until the next look: what it has sent is still its user's.
        connection.peer = peer
        self._by_peer[peer] = connection
        return connection

    def _is_revoked(self, connection: Connection) -> bool:
        if self._allowed is None or connection.user is None:
            return False
        return self._allowed.name_of(connection.user) is None


def _most_connections(config: ServerConfig) -> int:
    """As many as the settings say, if descriptors last, also for what comes between two looks."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return config.max_connections
    spare = limit - _OWN_DESCRIPTORS - _DESCRIPTORS_A_WORKER * config.workers
    most = max(1, spare * 3 // 4)
    if most < config.max_connections:
        _log.warning(
            "at most %d connections, not %d: this process may have %d descriptors (ulimit -n)",
            most, config.max_connections, limit,
        )  # fmt: skip
    return min(most, config.max_connections)
