"""The console of a User-Mode Linux router: its boot log, then a conversation with its tc."""

from __future__ import annotations

import os
import select
import time
from typing import Any

from netem.shaper import parse_replies
from offload.errors import BackendError

REPLY_TIMEOUT_S = 5.0


class UmlConsole:
    """Two pipes to the guest's console. Not safe for use by two threads at once.

    Args:
        read_descriptor: what the guest writes; owned, closed by :meth:`close`.
        write_descriptor: what the guest reads; owned.
    """

    def __init__(self, read_descriptor: int, write_descriptor: int) -> None:
        self._read = read_descriptor
        self._write = write_descriptor
        self._buffer = ""
        self._log: list[str] = []
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
        # tc is silent on success; the answer to a last harmless question means all lines are done.
        asked = [*lines, "qdisc show dev lo"]
        try:
            for line in asked:
                os.write(self._write, f"{line}\n".encode())
        except BrokenPipeError as error:
            raise BackendError("the User-Mode Linux router is gone") from error
        expected = sum(line.startswith("qdisc show") for line in asked)
        replies: list[str] = []
        while sum(line.startswith("[") for line in replies) < expected:
            replies.append(self._line(deadline))
        return parse_replies("\n".join(replies), expected)[:-1]

    def tail(self, lines: int = 25) -> str:
        """The last lines the guest printed."""
        return "\n".join([*self._log, self._buffer][-lines:]).strip()

    def close(self) -> None:
        """Close both pipes. Idempotent."""
        for name in ("_read", "_write"):
            descriptor = getattr(self, name)
            if descriptor >= 0:
                os.close(descriptor)
                setattr(self, name, -1)

    def _line(self, deadline: float) -> str:
        while "\n" not in self._buffer:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise BackendError(f"the User-Mode Linux router is silent. It said:\n{self.tail()}")
            if not select.select([self._read], [], [], left_s)[0]:
                continue
            chunk = os.read(self._read, 65536)
            if not chunk:
                raise BackendError(f"the User-Mode Linux router ended. It said:\n{self.tail()}")
            self._buffer += chunk.decode(errors="replace")
        line, _, self._buffer = self._buffer.partition("\n")
        line = line.rstrip("\r")
        self._log = [*self._log[-199:], line]
        return line
