"""The console of a User-Mode Linux router: its boot log, then a conversation with its tc."""

from __future__ import annotations

import os
import re
import select
import time
from collections.abc import Callable
from typing import Any

from netem.shaper import parse_replies
from offload.errors import BackendError

REPLY_TIMEOUT_S = 5.0
_LIFE_CHECK_S = 0.2
_NUDGE_S = 0.05
"""A guest busy with packets can miss that its console has something to read: seen within minutes
of 20 questions a second among 8,000 packets a second."""
_STACK_LINE = re.compile(r"\s*(\[<|Stack:|Call Trace:|[0-9a-f]{8} [0-9a-f]{8})")


class UmlConsole:
    """Two pipes to the guest's console. Not safe for use by two threads at once.

    Args:
        read_descriptor: what the guest writes; owned, closed by :meth:`close`.
        write_descriptor: what the guest reads; owned.
        alive: whether the guest still runs; its helper processes hold the pipes open beyond it.
    """

    def __init__(
        self, read_descriptor: int, write_descriptor: int, alive: Callable[[], bool]
    ) -> None:
        self._read = read_descriptor
        self._write = write_descriptor
        self._alive = alive
        self._buffer = ""
        self._log: list[str] = []
        self._owed = 0
        os.set_blocking(read_descriptor, False)

    def wait_for(self, marker: str, timeout_s: float) -> None:
        """Read lines until one is ``marker``.

        Raises:
            BackendError: the guest ended or took longer; the message holds the log's end.
        """
        deadline = time.monotonic() + timeout_s
        while self._line(deadline) != marker:
            pass

    def converse(self, lines: list[str]) -> list[Any]:
        """Hand lines to the guest's tc; returns the JSON document of each ``qdisc show``.

        Raises:
            BackendError: tc complained, or the guest ended or stopped answering.
        """
        deadline = time.monotonic() + REPLY_TIMEOUT_S
        # What a conversation was too impatient for must not pass for the answer to this one.
        while self._owed:
            self._reply(deadline)
        # tc is silent on success; the answer to a last harmless question means all lines are done.
        asked = [*lines, "qdisc show dev lo"]
        for line in asked:
            self._write_line(line)
        expected = sum(line.startswith("qdisc show") for line in asked)
        self._owed = expected
        replies: list[str] = []
        while self._owed:
            replies.append(self._reply(deadline))
        return parse_replies("\n".join(replies), expected)[:-1]

    def tail(self, lines: int = 25) -> str:
        """The last lines the guest printed, without the addresses of a kernel's stack."""
        said = [line for line in [*self._log, self._buffer] if not _STACK_LINE.match(line)]
        return "\n".join(said[-lines:]).strip()

    def close(self) -> None:
        """Close both pipes. Idempotent."""
        for name in ("_read", "_write"):
            descriptor = getattr(self, name)
            if descriptor >= 0:
                os.close(descriptor)
                setattr(self, name, -1)

    def _write_line(self, line: str) -> None:
        try:
            os.write(self._write, f"{line}\n".encode())
        except BrokenPipeError as error:
            raise BackendError("the User-Mode Linux router is gone") from error

    def _reply(self, deadline: float) -> str:
        """The next line, counted where it is the document of a ``show``."""
        line = self._line(deadline, nudge=True)
        self._owed -= line.startswith("[")
        return line

    def _line(self, deadline: float, *, nudge: bool = False) -> str:
        """The next line; ``nudge``: tc reads, skips an empty line, and that wakes the guest."""
        patience_s = _NUDGE_S if nudge else _LIFE_CHECK_S
        while "\n" not in self._buffer:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise BackendError(f"the User-Mode Linux router is silent. It said:\n{self.tail()}")
            if not select.select([self._read], [], [], min(left_s, patience_s))[0]:
                if not self._alive():
                    raise BackendError(f"the User-Mode Linux router ended. It said:\n{self.tail()}")
                if nudge:
                    self._write_line("")
                continue
            chunk = os.read(self._read, 65536)
            if not chunk:
                raise BackendError(f"the User-Mode Linux router ended. It said:\n{self.tail()}")
            self._buffer += chunk.decode(errors="replace")
        line, _, self._buffer = self._buffer.partition("\n")
        line = line.rstrip("\r")
        self._log = [*self._log[-199:], line]
        return line
