"""How a command ends on a signal, and when nobody reads its output any more."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

OUTPUT_CLOSED = 141
"""Exit code of a program that SIGPIPE ended, as shells count: 128 + 13."""


class Terminated(SystemExit):
    """A signal, raised in the main thread so that everything open is closed on the way out."""


def unwind_on_signals() -> None:
    """From here on SIGTERM, and SIGHUP of a closed terminal, raise :class:`Terminated`.

    With exit codes 143 and 129. A SIGHUP that is ignored, as under nohup, stays so.
    """
    signal.signal(signal.SIGTERM, _terminate)
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _terminate)


def _terminate(signal_number: int, frame: object) -> None:
    raise Terminated(128 + signal_number)


@contextmanager
def quiet_when_nobody_reads() -> Iterator[None]:
    """Exit without a traceback where the reader of the output is gone, as in ``... | head -3``.

    Raised as an exit, so that a link is closed on the way out. A broken pipe that is not one of the
    output streams is raised as it came.
    """
    try:
        try:
            yield
        except SystemExit:  # --help exits when it has printed
            _flush()
            raise
        _flush()
    except BrokenPipeError:
        closed = [stream for stream in (sys.stdout, sys.stderr) if _reader_is_gone(stream)]
        if not closed:
            raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in closed:  # what is still buffered must go somewhere
            os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        raise SystemExit(OUTPUT_CLOSED) from None


def _flush() -> None:
    """Now, where a closed pipe can be caught, and not at the interpreter's end."""
    if sys.stdout is not None:  # started with >&-
        sys.stdout.flush()


def _reader_is_gone(stream: TextIO | None) -> bool:
    if stream is None or sys.platform == "win32":  # a closed pipe is another error there
        return False
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return bool(poll.poll(0))
