"""SIGTERM while a link is open: unwind like Ctrl-C does, so that the link is closed.

Python's default ends the process on the spot, and the namespaces would stay until the next link is
opened. A program with a SIGTERM handler of its own keeps it.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

_open: set[object] = set()
_installed = False


def _unwind(signal_number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signal_number)


def end_on_sigterm(owner: object) -> None:
    """As long as ``owner`` is registered, SIGTERM raises SystemExit(143) in the main thread."""
    global _installed
    _open.add(owner)
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread may set handlers
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _unwind)
        _installed = True


def let_sigterm_be(owner: object) -> None:
    """Forget ``owner``; the last one gives SIGTERM its default back."""
    global _installed
    _open.discard(owner)
    if _open or not _installed or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is _unwind:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _installed = False
