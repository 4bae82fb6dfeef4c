"""How long an emulator was not there: it is asked for its counters all the while."""

from __future__ import annotations

import threading
import time

from netem.link import Link
from offload.errors import BackendError

_ASK_EVERY_S = 0.05


class StallWatch:
    """A context manager; :meth:`worst_s` tells the longest that the router took to answer."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._done = threading.Event()
        self._asked_s: float | None = None
        self._worst_s = 0.0
        self._thread = threading.Thread(target=self._watch, name="stall watch", daemon=True)

    def __enter__(self) -> StallWatch:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._done.set()
        self._thread.join()

    def worst_s(self) -> float:
        """The longest so far, a question still open included."""
        asked_s = self._asked_s
        waiting_s = 0.0 if asked_s is None else time.monotonic() - asked_s
        return max(self._worst_s, waiting_s)

    def _watch(self) -> None:
        while not self._done.wait(_ASK_EVERY_S):
            self._asked_s = asked_s = time.monotonic()
            try:
                self._link.stats()
            except BackendError:
                return  # silent for good: the question stays open, and with it the stall grows
            self._worst_s = max(self._worst_s, time.monotonic() - asked_s)
            self._asked_s = None
