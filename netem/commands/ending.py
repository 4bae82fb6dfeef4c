"""How a command ends on SIGTERM."""

from __future__ import annotations

import signal


class Terminated(SystemExit):
    """SIGTERM, raised in the main thread so that everything open is closed on the way out."""


def unwind_on_sigterm() -> None:
    """From here on SIGTERM raises :class:`Terminated` with exit code 143."""
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(signal_number: int, frame: object) -> None:
    raise Terminated(128 + signal_number)
