"""CURVE keys of the two ends, and how they get onto a ZeroMQ socket."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from edge_server.security.key_files import (
    PUBLIC_SUFFIX,
    SECRET_SUFFIX,
    checked_name,
    read_pair,
    read_public,
    text_of,
    write_new,
)
from offload.errors import ConfigError

ZAP_DOMAIN = b"offload"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A long-term CURVE key pair, both in Z85 (40 characters)."""

    public: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> KeyPair:
        """A new pair, from the kernel's randomness."""
        return cls(*zmq.curve_keypair())

    @classmethod
    def load(cls, path: Path | str) -> KeyPair:
        """The pair in a ``.key_secret`` file.

        Raises:
            ConfigError: no such file, others may read it, or its two keys are no pair.
        """
        public, secret = read_pair(Path(path))
        if zmq.curve_public(secret) != public:
            raise ConfigError(f"{path}: its public key does not belong to its secret key")
        return cls(public, secret)

    def save(self, folder: Path, name: str) -> Path:
        """Write ``NAME.key_secret`` (mode 0600) and ``NAME.key``; the path of the first.

        Raises:
            ConfigError: one of them exists, or the folder cannot be written.
        """
        secret_path = folder / f"{checked_name(name)}{SECRET_SUFFIX}"
        public_path = folder / f"{name}{PUBLIC_SUFFIX}"
        write_new(secret_path, text_of(self.public, self.secret), 0o600)
        try:
            write_new(public_path, text_of(self.public), 0o644)
        except ConfigError:
            os.unlink(secret_path)  # nothing half done is left
            raise
        return secret_path

    def serve(self, socket: zmq.Socket[bytes]) -> None:
        """Have a socket, not bound yet, take only clients that an authenticator lets in.

        With the domain enforced, libzmq refuses every handshake while no authenticator answers.
        """
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self.secret)
        socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """What a client needs: its own pair, and the public key that the server must prove to have."""

    own: KeyPair
    server_public: bytes

    @classmethod
    def load(cls, own: Path | str, server: Path | str) -> ClientKeys:
        """Read them from files.

        Args:
            own: the client's ``.key_secret`` file.
            server: the server's ``.key`` file.

        Raises:
            ConfigError: a file is missing, is no key, or others may tamper with it.
        """
        return cls(KeyPair.load(own), read_public(Path(server)))

    def apply(self, socket: zmq.Socket[bytes]) -> None:
        """Set them on a socket that is not connected yet."""
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self.own.public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self.own.secret)
        socket.setsockopt(zmq.CURVE_SERVERKEY, self.server_public)
