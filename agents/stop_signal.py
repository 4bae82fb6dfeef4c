"""Ctrl-C and SIGTERM as a wish to stop, which training grants at the next clean moment."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any, Self


class StopSignal:
    """While entered, the first SIGINT or SIGTERM is noted; a second one is a KeyboardInterrupt.

    Enter it from the main thread. A signal that was set to be ignored stays so.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        """True once a signal has come."""
        return self.asked

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        # Not print: the signal may have come in the middle of one.
        os.write(2, b"\nstopping; once more, and it stops at once\n")
