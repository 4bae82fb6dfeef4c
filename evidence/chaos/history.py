"""A row's history: one event a line, as JSON, written by all processes of a row into one file.

The file is opened for appending and each event is one ``write``, so lines of different processes
never mix. All times are seconds of the machine's monotonic clock, which processes share.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec

from offload.errors import OffloadError

FILE_NAME = "history.jsonl"
VARIABLE = "OFFLOAD_CHAOS_HISTORY"
"""Environment variable that tells workers and local children where their row's history is."""


class HistoryError(OffloadError):
    """A history that cannot be read; it proves nothing."""


class _Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="event"):
    """What every event shares: when it happened."""

    t_s: float


class ClientStarted(_Event, frozen=True, tag="client_started"):
    """A process that submits tasks for these clients; a task names its client."""

    clients: list[str]
    pid: int


class ClientEnded(_Event, frozen=True, tag="client_ended"):
    """A client has finished all it submitted.

    ``late_replies``: answers that came after their task had ended, and were dropped.
    """

    client: str
    late_replies: int


class Submitted(_Event, frozen=True, tag="submitted"):
    """A task was handed over.

    Attributes:
        deadline_s: after that many seconds it should have ended.
        promised: it must have ended by then; else the deadline is a wish.
        n, hold_ms, padding: what its input is made of; see :mod:`evidence.chaos.tasks`.
    """

    task: str
    client: str
    kind: str
    n: int
    hold_ms: int
    padding: int
    deadline_s: float
    promised: bool = False


class Accepted(_Event, frozen=True, tag="accepted"):
    """The server has this task: it answered a ping that was sent behind it."""

    task: str


class Started(_Event, frozen=True, tag="started"):
    """A process began to run a task. ``site``: ``edge`` or ``device``."""

    task: str
    site: str
    pid: int


class Ended(_Event, frozen=True, tag="ended"):
    """That process came to the task's end."""

    task: str
    site: str
    pid: int


class Reported(_Event, frozen=True, tag="reported"):
    """The engine handed the task's record to its listener."""

    task: str


class Terminal(_Event, frozen=True, tag="terminal"):
    """What became of a task, as its client was told.

    Attributes:
        outcome: of the engine (``remote_ok``, ``fallback_ok``, ...), or for a client without an
            engine ``remote_ok``, an error code of the protocol, or ``unanswered``.
        digest: SHA-256 of the answer; empty where there is none.
        waited_s: how long the client's threads, and its local child, were ready to run meanwhile
            and had no CPU.
    """

    task: str
    outcome: str
    digest: str = ""
    reason: str = ""
    waited_s: float = 0.0


class Fault(_Event, frozen=True, tag="fault"):
    """A fault was injected. ``what``: e.g. ``kill-worker``; ``target``: a pid or a name."""

    what: str
    target: str = ""


class Healed(_Event, frozen=True, tag="healed"):
    """A fault was taken back."""

    what: str
    target: str = ""


class Stall(_Event, frozen=True, tag="stall"):
    """The machine was late: a thread that only sleeps woke up ``lasts_s`` after it should have."""

    lasts_s: float


class Sample(_Event, frozen=True, tag="sample"):
    """What a process held at that moment."""

    pid: int
    rss_bytes: int
    descriptors: int


Event: TypeAlias = (
    ClientStarted
    | ClientEnded
    | Submitted
    | Accepted
    | Started
    | Ended
    | Reported
    | Terminal
    | Fault
    | Healed
    | Stall
    | Sample
)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


class History:
    """Appends events to a file; safe for several threads and processes. A context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)

    def write(self, event: Event) -> None:
        """Append one event."""
        os.write(self._descriptor, _encoder.encode(event) + b"\n")

    def fault(self, what: str, target: object = "") -> float:
        """Note a fault that is being injected now; returns the time."""
        now_s = time.monotonic()
        self.write(Fault(now_s, what, str(target)))
        return now_s

    def healed(self, what: str, target: object = "") -> float:
        """Note that a fault was taken back now; returns the time."""
        now_s = time.monotonic()
        self.write(Healed(now_s, what, str(target)))
        return now_s

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> History:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def read_history(path: Path) -> list[Event]:
    """All events of a file, by time.

    Raises:
        HistoryError: the file is missing, or a line is no event.
    """
    try:
        with path.open("rb") as file:
            events = [_decoded(line, path, number) for number, line in enumerate(file, 1)]
    except OSError as error:
        raise HistoryError(f"{path} cannot be read: {error.strerror}") from error
    return sorted(events, key=lambda event: event.t_s)


class Follower:
    """Reads a history while it is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        self._partial = b""
        self._number = 0

    def new(self) -> Iterator[Event]:
        """The events that have come since the last call, in the order they were written.

        Raises:
            HistoryError: a line is no event.
        """
        for line in self._file:
            self._partial += line
            if self._partial.endswith(b"\n"):
                self._number += 1
                whole, self._partial = self._partial, b""
                yield _decoded(whole, self._path, self._number)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def _decoded(line: bytes, path: Path, number: int) -> Event:
    try:
        return _decoder.decode(line)
    except msgspec.MsgspecError as error:
        raise HistoryError(f"{path}:{number} is no event of a history: {error}") from error
