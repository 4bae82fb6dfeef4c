"""How much may be tried again: a token bucket, so that retries never multiply an overload."""

from __future__ import annotations

import threading

RETRY_SHARE = 0.1
"""Retries for each request: Google's SRE book, "Handling Overload", has clients keep to 10 %."""
_MOST_SAVED = 10.0


class RetryBudget:
    """Each request pays in a share of a token, each retry takes a whole one. Any thread.

    It starts empty, so at any moment no more than ``share`` of the requests so far were retried.

    Args:
        share: of the requests, 0 to 1.
    """

    def __init__(self, share: float = RETRY_SHARE) -> None:
        self._share = share
        self._tokens = 0.0
        self._lock = threading.Lock()

    def saw_request(self) -> None:
        """A request is made for the first time."""
        with self._lock:
            self._tokens = min(_MOST_SAVED, self._tokens + self._share)

    def take(self) -> bool:
        """Whether one may be made again; if so, it is counted."""
        with self._lock:
            if self._tokens < 1.0 - 1e-9:  # ten times a tenth is a little less than one
                return False
            self._tokens -= 1.0
            return True
