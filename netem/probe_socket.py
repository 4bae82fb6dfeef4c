"""A UDP socket that says when the kernel received each packet."""

from __future__ import annotations

import socket
import struct
import time

_SO_TIMESTAMPNS = 35  # the socket module does not name it
_TIMESPEC = struct.Struct("@qq")
_BUFFER_BYTES = 4 << 20
"""Room for the longest train, whatever the reader is doing meanwhile."""


def open_probe_socket(address: str, port: int) -> socket.socket:
    """A bound UDP socket with kernel timestamps; port 0: any free one."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        opened.bind((address, port))
    except BaseException:
        opened.close()
        raise
    return opened


def receive(from_socket: socket.socket) -> tuple[bytes, int, tuple[str, int]]:
    """The next datagram, its arrival (nanoseconds, wall clock) and its sender.

    The kernel's stamp leaves out the time until this process was scheduled.
    """
    data, ancillary, _, sender = from_socket.recvmsg(2048, 64)
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack(value[: _TIMESPEC.size])
            return data, seconds * 1_000_000_000 + nanoseconds, sender
    return data, time.time_ns(), sender
