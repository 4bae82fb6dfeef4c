"""Other users of the edge server: real clients that keep its workers busy to a set share."""

from __future__ import annotations

import subprocess
import time

import msgspec

from offload.errors import ConfigError
from testbed.processes import TestbedError, read_line, write_line

MAX_UTILISATION = 0.95
"""Beyond, the queue of an open system takes minutes to settle."""
_NAME = "the edge's other users"
_DRAIN_S = 60.0
_POLL_S = 0.1


class Offer(msgspec.Struct, frozen=True):
    """Keep the server busy for this share of its time from now on.

    Attributes:
        at_once: tasks that arrive now, so that the queue need not grow to its usual length first.
    """

    utilisation: float
    at_once: int = 0


class Begun(msgspec.Struct, frozen=True):
    """The clients are connected; seconds that one of their tasks takes on an idle worker."""

    service_s: float


class Offered(msgspec.Struct, frozen=True):
    """What was run since the order before.

    Attributes:
        elapsed_s: the time since then.
        busy_s: seconds that workers spent on these clients' finished tasks.
        done: tasks that came back.
        refused: tasks that the server refused or did not finish.
        dropped: arrivals that found every client waiting already.
        waiting: tasks that have not come back yet.
    """

    elapsed_s: float
    busy_s: float
    done: int
    refused: int
    dropped: int
    waiting: int


class OtherUsers:
    """Handle on the process of those clients; made by :meth:`testbed.Testbed.other_users`.

    Attributes:
        service_s: seconds that one of their tasks takes on an idle worker, measured.

    Raises:
        TestbedError: they did not start.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.service_s = msgspec.json.decode(read_line(process, _NAME), type=Begun).service_s

    def offer(self, utilisation: float, at_once: int = 0) -> Offered:
        """Keep one worker busy for this share of its time; returns what was run until now.

        Args:
            utilisation: 0 lets those that wait come back, and no more arrive.
            at_once: tasks that arrive now.

        Raises:
            ConfigError: not a share from 0 to MAX_UTILISATION.
            TestbedError: the process is gone.
        """
        if not 0.0 <= utilisation <= MAX_UTILISATION:
            raise ConfigError(f"utilisation {utilisation} is not from 0 to {MAX_UTILISATION}")
        write_line(self._process, _NAME, msgspec.json.encode(Offer(utilisation, at_once)))
        line = read_line(self._process, _NAME)
        try:
            return msgspec.json.decode(line, type=Offered)
        except msgspec.MsgspecError as error:
            raise TestbedError(f"{_NAME} answered {line!r}") from error

    def stop(self) -> Offered:
        """Let no more arrive and wait until all have come back; returns what was run until then.

        ``elapsed_s`` is the time until no more arrived, so that ``busy_s`` over it is the work that
        arrived in that time.
        """
        report = self.offer(0.0)
        until_s = time.monotonic() + _DRAIN_S
        while report.waiting:
            if time.monotonic() > until_s:
                raise TestbedError(f"{_NAME} still wait for {report.waiting} tasks")
            time.sleep(_POLL_S)
            late = self.offer(0.0)
            report = Offered(
                elapsed_s=report.elapsed_s,
                busy_s=report.busy_s + late.busy_s,
                done=report.done + late.done,
                refused=report.refused + late.refused,
                dropped=report.dropped + late.dropped,
                waiting=late.waiting,
            )
        return report
