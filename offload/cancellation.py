"""How a caller says that a task need not be done any more, to whoever waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Cancellation:
    """A wish that is there or not, and once there stays. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hooks: dict[object, Callable[[], None]] = {}
        self._wished = False

    @property
    def wished(self) -> bool:
        """:meth:`cancel` was called."""
        return self._wished

    def cancel(self) -> None:
        """Say so, and wake whoever waits; a second call does nothing."""
        with self._lock:
            if not self._wished:
                self._wished = True
                for hook in self._hooks.values():
                    hook()

    @contextmanager
    def waking(self, hook: Callable[[], None]) -> Iterator[None]:
        """Have ``hook`` called by :meth:`cancel` in here, or at once where that was called before.

        Args:
            hook: wakes a wait. It must neither wait itself nor use this object, and a lock that it
                takes must not be held where this is entered or left.
        """
        key = object()
        with self._lock:
            self._hooks[key] = hook
            if self._wished:
                hook()
        try:
            yield
        finally:
            with self._lock:
                del self._hooks[key]
