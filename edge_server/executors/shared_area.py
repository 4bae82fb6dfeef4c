"""Memory that the server and one worker share, for large bodies on their way between the two.

A body of 1 MB costs two plain copies this way; through a socket pair each byte is copied twice as
well, but in several rounds of both processes waking each other, into buffers that the kernel first
has to find.
"""

from __future__ import annotations

import mmap
import os

AREA_BYTES = 4 * 2**20
"""Larger bodies go through the channel. The memory is taken when first written to, and kept."""
_FULL_AT = 0
_BODY_AT = 64


class SharedArea:
    """Room for one body in one direction.

    One side puts, the other takes, each in its own time; whether there is a body is a byte of the
    area itself. What is in it and how long it is, the channel says.

    Args:
        descriptor: of a memory file as :func:`area_descriptor` makes it; the caller closes it.
    """

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, _BODY_AT + AREA_BYTES)
        self._view = memoryview(self._map)

    def put(self, body: bytes | bytearray | memoryview) -> bool:
        """Put a body into the area; False where it is too large, or the last is still in it."""
        size = len(body)
        if size > AREA_BYTES or self._view[_FULL_AT]:
            return False
        self._view[_BODY_AT : _BODY_AT + size] = body
        self._view[_FULL_AT] = 1
        return True

    def take(self, size: int) -> bytes:
        """Take the body of that size out."""
        body = bytes(self._view[_BODY_AT : _BODY_AT + size])
        self._view[_FULL_AT] = 0
        return body

    def close(self) -> None:
        """Let go of the memory."""
        self._view.release()
        self._map.close()


def area_descriptor() -> int:
    """A new, empty memory file for one :class:`SharedArea`."""
    descriptor = os.memfd_create("edge-server-body")
    os.ftruncate(descriptor, _BODY_AT + AREA_BYTES)
    return descriptor
