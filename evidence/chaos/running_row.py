"""A row's process, seen from the runner: begun, listened to, ended, swept up after."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import TypeAlias

import msgspec

from evidence.chaos.history import FILE_NAME, VARIABLE
from evidence.chaos.result import RowResult, read_result, write_result
from evidence.chaos.row_process import Order
from evidence.chaos.rows import Row

_ROOT = Path(__file__).resolve().parents[2]
_END_S = 60.0
_OVERTIME, _OVERTIME_S = 4.0, 60.0

Said: TypeAlias = "SimpleQueue[tuple[RunningRow, int | None]]"
"""Where rows say how many faults they have injected; None: the process has closed its output."""


class RunningRow:
    """A row in a process of its own.

    Args:
        row: the row.
        order: what it is to do; its folder is emptied of an interrupted run's history.
        said: where its progress goes.
    """

    def __init__(self, row: Row, order: Order, said: Said) -> None:
        self.row = row
        self.order = order
        self._folder = Path(order.folder)
        self._history = self._folder / FILE_NAME
        self._folder.mkdir(parents=True, exist_ok=True)
        self._history.unlink(missing_ok=True)
        self._began_s = time.monotonic()
        usual_s = row.seconds[0 if order.short else 1]
        self._until_s = self._began_s + _OVERTIME * usual_s + _OVERTIME_S
        self._given_up = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "evidence.chaos.row_process", _text(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            env={**os.environ, VARIABLE: str(self._history)},
            start_new_session=True,  # Ctrl-C reaches the runner alone, which then ends its rows
        )
        self._listener = threading.Thread(target=self._listen, args=(said,), daemon=True)
        self._listener.start()

    def give_up_if_late(self) -> None:
        """End it when it takes far longer than it should, by force when it does not end then."""
        now_s = time.monotonic()
        if now_s > self._until_s + _END_S:
            self._process.kill()
        elif now_s > self._until_s and not self._given_up:
            self._given_up = True
            self._process.terminate()

    def result(self) -> RowResult:
        """What it left once its output has closed, and how many processes it left besides."""
        status, strays = self._end()
        result = read_result(self._folder)
        if result is None:
            why = "took too long, and was given up" if self._given_up else f"ended with {status}"
            result = _without_result(self.row, self.order, time.monotonic() - self._began_s, why)
        if strays and not result.error:
            result = msgspec.structs.replace(result, error=f"left {strays} processes running")
        write_result(self._folder, result)
        return result

    def stop(self) -> None:
        """End it, and whatever it has started; may be called twice."""
        self._process.terminate()
        self._end()

    def _listen(self, said: Said) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                said.put((self, int(line)))
        said.put((self, None))

    def _end(self) -> tuple[int, int]:
        """Wait for its end, in bounded time; (status, processes that it left, now killed)."""
        try:
            status = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        strays = list(_processes_of(self._history))
        for pid in strays:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._listener.join()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        return status, len(strays)


def _text(order: Order) -> str:
    return msgspec.json.encode(order).decode()


def _without_result(row: Row, order: Order, seconds: float, why: str) -> RowResult:
    return RowResult(
        name=row.name,
        fault=row.fault,
        count=order.count,
        unit=row.unit,
        short=order.short,
        seed=order.seed,
        seconds=seconds,
        error=f"the row {why}",
    )


def _processes_of(history: Path) -> Iterator[int]:
    """Processes that were started with this history at hand, zombies left out."""
    wanted = f"{VARIABLE}={history}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name)
            except OSError:
                continue  # it has ended, or is not ours to look at
