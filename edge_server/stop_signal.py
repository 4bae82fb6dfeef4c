"""How a loop is told to stop: by another thread, or by a signal."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_ASKED = b"x"
_COUNT = frozenset((*_ASKED, *_SIGNALS))


class StopSignal:
    """A pipe that the loop watches; each of certain bytes in it is one request to stop."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._on_signals = False
        self._closing = threading.Lock()
        self._closed = False

    def fileno(self) -> int:
        """The end to watch for reading."""
        return self._read

    def send(self) -> None:
        """Ask the loop to stop; from any thread, also when it has."""
        with self._closing:
            if not self._closed:
                with contextlib.suppress(BlockingIOError):  # a full pipe wakes the loop as well
                    os.write(self._write, _ASKED)

    def take(self) -> int:
        """How often it was asked since the last call; other signals write into the pipe too."""
        return sum(byte in _COUNT for byte in os.read(self._read, 64))

    def on_signals(self) -> None:
        """Have SIGTERM and SIGINT ask, too; to be called in the main thread.

        The bytes are written by the interpreter's own C handler. A Python handler alone could be
        put off for ever: it runs only after the poll that the signal came just too early to break.
        """
        for number in _SIGNALS:
            signal.signal(number, lambda signum, frame: None)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._on_signals = True

    def close(self) -> None:
        """Close the pipe, and let go of the signals' wake-up."""
        if self._on_signals:
            signal.set_wakeup_fd(-1)
        with self._closing:
            self._closed = True
            os.close(self._read)
            os.close(self._write)
