"""Where frames come in and go out: a TAP device, or a packet socket on a veth's end."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from typing import Literal

TUN_DEVICE = "/dev/net/tun"
FRAME_ROOM_BYTES = 2048
"""A frame of the usual 1,500-byte MTU with room to spare; a longer one would be cut."""
PortKind = Literal["tap", "packet"]
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_IGNORE_OUTGOING = 263, 23
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_SOCKET_BUFFER_BYTES = 16 << 20
_UNHEARD = {errno.EIO, errno.ENETDOWN, errno.ENXIO}
"""The wire's far end is down: the frame goes out and nobody hears it."""


class Port:
    """One end of a wire that whole Ethernet frames go through, without ever waiting.

    Args:
        kind: ``tap`` makes the interface, in this process's network namespace; ``packet`` needs it
            there already.
        interface: the interface's name.

    Raises:
        OSError: the device or the socket cannot be opened.
    """

    def __init__(self, kind: PortKind, interface: str) -> None:
        self.interface = interface
        self._descriptor = _open_tap(interface) if kind == "tap" else _open_packet(interface)

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._descriptor

    def read(self) -> bytes | None:
        """The next frame, or None when there is none now.

        Raises:
            OSError: the interface is gone.
        """
        try:
            return os.read(self._descriptor, FRAME_ROOM_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno == errno.ENETDOWN:  # told once; frames come again once it is up
                return None
            raise

    def write(self, frame: bytes) -> None:
        """Send a frame.

        Raises:
            OSError: the interface is gone.
        """
        try:
            os.write(self._descriptor, frame)
        except OSError as error:
            if error.errno not in _UNHEARD:
                raise

    def close(self) -> None:
        """Close it; a TAP device ends with that."""
        os.close(self._descriptor)


def _open_tap(interface: str) -> int:
    import fcntl  # which not every system has, on which the proxy backend runs

    descriptor = os.open(TUN_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        request = struct.pack("16sH22x", interface.encode(), _IFF_TAP | _IFF_NO_PI)
        fcntl.ioctl(descriptor, _TUNSETIFF, request)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _open_packet(interface: str) -> int:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0) as opened:
        for force, plain in (
            (_SO_RCVBUFFORCE, socket.SO_RCVBUF),
            (_SO_SNDBUFFORCE, socket.SO_SNDBUF),
        ):
            opened.setsockopt(socket.SOL_SOCKET, plain, _SOCKET_BUFFER_BYTES)
            with contextlib.suppress(PermissionError):  # then net.core's maximum has to do
                opened.setsockopt(socket.SOL_SOCKET, force, _SOCKET_BUFFER_BYTES)
        opened.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        opened.bind((interface, _ETH_P_ALL))
        return opened.detach()
