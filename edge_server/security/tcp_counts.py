"""What the kernel counts of a TCP connection (Linux's ``tcp_info``), and how to cut it off."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import termios
from dataclasses import dataclass

_TCP_INFO_BYTES = 136
_COUNTS = struct.Struct("=2Q")
_COUNTS_OFFSET = 120
"""``tcpi_bytes_acked`` and ``tcpi_bytes_received``, in include/uapi/linux/tcp.h since Linux 4.2."""


@dataclass(frozen=True, slots=True)
class TcpCounts:
    """Bytes of one connection since it was made.

    Attributes:
        acked: of ours, acknowledged by the peer's kernel.
        received: by our kernel, whether or not the program has read them.
    """

    acked: int
    received: int


def tcp_counts(kernel: socket.socket) -> TcpCounts | None:
    """The counts of a connection; None where it is none any more."""
    try:
        info = kernel.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except OSError:
        return None
    if len(info) < _TCP_INFO_BYTES:
        return None
    return TcpCounts(*_COUNTS.unpack_from(info, _COUNTS_OFFSET))


def unread_bytes(kernel: socket.socket) -> int:
    """Bytes that the kernel has received and the program has not read; 0 where nothing is known."""
    try:
        answer = fcntl.ioctl(kernel, termios.FIONREAD, struct.pack("i", 0))
    except OSError:
        return 0
    return int(struct.unpack("i", answer)[0])


def abort(kernel: socket.socket) -> None:
    """Reset a connection and throw away what the kernel holds of it; its descriptor stays open.

    ``connect`` to the address family "unspecified" does that (tcp(7)). A shutdown would not: with
    a full window the peer would hear of it only when it next probes.

    Raises:
        OSError: it is connected no more.
    """
    unspecified = struct.pack("H14x", socket.AF_UNSPEC)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.connect(kernel.fileno(), unspecified, len(unspecified)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
