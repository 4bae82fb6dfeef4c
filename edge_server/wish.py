"""A caller's wish to cancel, as something that a wait for a socket can end by."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from offload.cancellation import Cancellation
from offload.errors import RemoteCancelled


class Wish:
    """The cancellation that the present request listens to, and a descriptor for polls."""

    def __init__(self) -> None:
        self._cancellation: Cancellation | None = None
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)

    @contextmanager
    def heard(self, cancellation: Cancellation) -> Iterator[None]:
        """In here it is that caller's wish."""
        self._cancellation = cancellation
        try:
            with cancellation.waking(self._wake):
                yield
        finally:
            self._cancellation = None
            with suppress(BlockingIOError):
                os.eventfd_read(self._descriptor)  # or every later wait would end at once

    @property
    def wished(self) -> bool:
        """The caller wants the request no longer."""
        return self._cancellation is not None and self._cancellation.wished

    @property
    def descriptor(self) -> int | None:
        """It can be read once that is so; None: nobody could say so."""
        return self._descriptor if self._cancellation is not None else None

    def check(self) -> None:
        """Go on only while the request is wanted.

        Raises:
            RemoteCancelled: it is not.
        """
        if self.wished:
            raise RemoteCancelled("the caller cancelled it")

    def _wake(self) -> None:
        os.eventfd_write(self._descriptor, 1)
