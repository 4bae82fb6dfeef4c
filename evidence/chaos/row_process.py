"""One row in a process of its own: ``python -m evidence.chaos.row_process ORDER``.

It prints how many faults it has injected, a number a line, and leaves its result in its folder. It
unwinds on SIGTERM and when its standard input closes, so that all it started ends.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

import msgspec

from evidence.chaos.history import FILE_NAME, History
from evidence.chaos.plan import row_called
from evidence.chaos.result import judged, write_result
from evidence.chaos.rows import Bound, RowRun
from evidence.chaos.scene import StallWatch
from offload.errors import OffloadError


class Order(msgspec.Struct, frozen=True):
    """What to do. ``folder`` is the row's own, and empty."""

    name: str
    count: int
    short: bool
    seed: int
    folder: str


def carry_out(order: Order) -> None:
    """Inject the row's faults, judge its history, leave the result."""
    row, folder = row_called(order.name), Path(order.folder)
    started_s = time.monotonic()
    bounds: list[Bound] = []
    error = ""
    with History(folder / FILE_NAME) as history:
        run = RowRun(order.count, order.short, order.seed, folder, history, _tell)
        try:
            with StallWatch(history):
                bounds = row.run(run)
        except OffloadError as broken:
            error = f"{type(broken).__name__}: {broken}"
        except Exception as broken:  # a mistake of the row's own is no verdict on the server
            traceback.print_exc()
            error = f"{type(broken).__name__}: {broken}"
        seconds = time.monotonic() - started_s
        write_result(folder, judged(row, run, bounds, seconds, error))


def _tell(done: int) -> None:
    print(done, flush=True)


def _unwind(signal_number: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: what is being ended must be ended
    raise SystemExit(128 + signal_number)


def _end_with_input() -> None:
    """The runner is gone, however it went: end as if it had said so."""
    while os.read(sys.stdin.fileno(), 1):  # not sys.stdin: its lock would be held at our own end
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _unwind)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the runner, which then ends us
    threading.Thread(target=_end_with_input, daemon=True).start()
    carry_out(msgspec.json.decode(sys.argv[1], type=Order))
