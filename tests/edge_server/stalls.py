"""How long this machine kept a thread from running, which a test of times has to allow for."""

from __future__ import annotations

import threading
import time

_NAP_S = 0.005


class Stalls:
    """Watches while it is entered.

    Attributes:
        worst_s: the longest that a short sleep overslept.
    """

    def __init__(self) -> None:
        self.worst_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Stalls:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def slack_s(self) -> float:
        """What a step of a few threads may be late: 75 ms, and a few of the stalls so far."""
        return 0.075 + 4.0 * self.worst_s

    def _watch(self) -> None:
        before_s = time.monotonic()
        while not self._over.wait(_NAP_S):
            now_s = time.monotonic()
            self.worst_s = max(self.worst_s, now_s - before_s - _NAP_S)
            before_s = now_s
