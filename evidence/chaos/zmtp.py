"""ZMTP 3 spoken by hand (RFC 23): a hostile peer can send what libzmq never would."""

from __future__ import annotations

import socket
import struct
from typing import Self

_MORE, _LONG, _COMMAND = 1, 2, 4
_GREETING_BYTES = 64


def greeting(mechanism: bytes = b"NULL", *, as_server: bool = False) -> bytes:
    """The first 64 bytes of a connection."""
    start = b"\xff" + bytes(8) + b"\x7f\x03\x00" + mechanism.ljust(20, b"\0")
    return start + bytes([as_server]) + bytes(31)


def ready(socket_type: bytes = b"DEALER", identity: bytes = b"") -> bytes:
    """The READY command of the NULL mechanism."""
    body = b"\x05READY"
    for name, value in ((b"Socket-Type", socket_type), (b"Identity", identity)):
        body += bytes([len(name)]) + name + struct.pack("!I", len(value)) + value
    return frame(body, command=True)


def frame(data: bytes, *, more: bool = False, command: bool = False) -> bytes:
    """One frame with its header."""
    flags = _MORE * more | _COMMAND * command
    if len(data) < 256:
        return bytes([flags, len(data)]) + data
    return bytes([flags | _LONG]) + struct.pack("!Q", len(data)) + data


class RawPeer:
    """A TCP connection to a ZeroMQ server, without libzmq. A context manager.

    Args:
        port: of the server, on the loopback.
        timeout_s: of each call that waits.
    """

    def __init__(self, port: int, timeout_s: float = 5.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.socket.close()

    def shake_hands(self, identity: bytes = b"") -> None:
        """Do what a DEALER without keys does."""
        self.socket.sendall(greeting())
        self._read(_GREETING_BYTES)
        self.socket.sendall(ready(identity=identity))
        _, size = self._read(2)
        self._read(size)

    def send(self, data: bytes) -> bool:
        """Send bytes as they are; False: the server has closed the connection."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def receive_message(self) -> list[bytes]:
        """The frames of the next message."""
        frames: list[bytes] = []
        more = True
        while more:
            (flags,) = self._read(1)
            size = self._read(8 if flags & _LONG else 1)
            frames.append(self._read(int.from_bytes(size, "big")))
            more = bool(flags & _MORE)
        return frames

    def read_some(self, n_bytes: int) -> bytes:
        """At least so many bytes of what the server sends, as they are."""
        return self._read(n_bytes)

    def is_closed(self, timeout_s: float) -> bool:
        """The server closes the connection within that time; what it sends is thrown away."""
        self.socket.settimeout(timeout_s)
        try:
            while self.socket.recv(65_536):
                pass
        except (TimeoutError, BlockingIOError):
            return False
        except ConnectionError:
            pass
        return True

    def _read(self, n_bytes: int) -> bytes:
        data = bytearray()
        while len(data) < n_bytes:
            part = self.socket.recv(n_bytes - len(data))
            if not part:
                raise ConnectionResetError("the server has closed the connection")
            data += part
        return bytes(data)
