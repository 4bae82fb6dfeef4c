"""How the commands of this package end: all they started is taken down, and no trace is shown."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

from offload.errors import OffloadError

_REFUSED = 2
_INTERRUPTED = 130


def unwind_on_sigterm() -> None:
    """Have SIGTERM unwind like an exception, so that everything started is taken down."""
    signal.signal(signal.SIGTERM, _terminate)


def exit_code(name: str, main: Callable[[], int]) -> int:
    """What ``main`` returns; 2 where it is refused, with one line of why; 130 after Ctrl-C."""
    try:
        return main()
    except (OffloadError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return _REFUSED
    except KeyboardInterrupt:
        print(f"{name}: interrupted; nothing was left running", file=sys.stderr)
        return _INTERRUPTED


def _terminate(signum: int, frame: object) -> None:
    raise SystemExit(128 + signum)
