"""Backend ``proxy``: TCP connections through a local process, where no packets can be shaped.

It needs nothing but Python, and both ends are this machine's loopback: a server binds to
``link.edge.address`` and the device connects to ``link.reach(port)``. It delays and paces bytes, in
order and in each direction by itself. What it does not do, :meth:`ProxyBackend.limits` says.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, ClassVar, TypeVar

import msgspec

from netem.backends.base import Capability, refuse_seed
from netem.link_stats import DirectionStats, LinkStats
from netem.loopback import ADDRESS, LoopbackLayout
from netem.proxying.messages import (
    Answer,
    Count,
    Counted,
    Failed,
    Forward,
    Forwarded,
    LaneCount,
    LaneSettings,
    Order,
    Settings,
)
from offload.errors import BackendError, ConfigError, VerifyError
from offload.types import DirectionProfile, LinkProfile

_ROOT = Path(__file__).resolve().parents[2]
_ANSWER_TIMEOUT_S = 10.0
_AnswerT = TypeVar("_AnswerT", Settings, Forwarded, Counted)


class ProxyBackend:
    """One process forwards ports and shapes the bytes that pass. For demonstrations."""

    name: ClassVar[str] = "proxy"
    summary: ClassVar[str] = "a TCP proxy on the loopback, for demonstrations: no loss, no UDP"
    carries_packets: ClassVar[bool] = False
    max_rate_bps: ClassVar[float] = 500e6

    def __init__(self, layout: LoopbackLayout) -> None:
        self._layout = layout
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None

    @classmethod
    def probe(cls) -> Capability:
        """Listen on the loopback once."""
        try:
            socket.create_server((ADDRESS, 0)).close()
        except OSError as error:
            return Capability(False, f"cannot listen at {ADDRESS}: {error.strerror}")
        return Capability(
            True,
            "TCP through a local process, for demonstrations only: no loss, no UDP, no handshake"
            " delay",
        )

    @classmethod
    def limits(cls, profile: LinkProfile) -> tuple[str, ...]:
        """What does not happen here and would on a network."""
        lines = (
            "backend proxy is for demonstrations: it shapes TCP connections, not packets, and no"
            " UDP",
            "connections open without a round trip, and TCP's congestion control does not see the"
            " link",
        )
        up, down = profile.uplink.loss, profile.downlink.loss
        if up or down:
            unapplied = (
                f"the loss of profile {profile.name!r} is not applied: {up * 100:.2g} % up,"
                f" {down * 100:.2g} % down"
            )
            return (*lines, unapplied)
        return lines

    def use_seed(self, seed: int) -> None:
        """Refused: how a stream falls into pieces depends on timing."""
        refuse_seed(self.name)

    def start(self) -> None:
        """Start the process."""
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (close() closes it)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "netem.proxying", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            cwd=_ROOT,
            start_new_session=True,  # Ctrl-C reaches the whole foreground group
        )

    def apply(self, profile: LinkProfile) -> None:
        """Set rates, delays, jitters and queues, read them back, compare. Loss is left out."""
        for direction in (profile.uplink, profile.downlink):
            if direction.rate_bps is not None and direction.rate_bps > self.max_rate_bps:
                raise ConfigError(
                    f"profile {profile.name!r} asks for {direction.rate_bps / 1e6:g} Mbit/s; the"
                    f" proxy backend carries at most {self.max_rate_bps / 1e6:g} faithfully"
                )
        wanted = Settings(_lane(profile.uplink), _lane(profile.downlink))
        held = self._ask(wanted, Settings)
        if held != wanted:
            raise VerifyError(
                f"profile {profile.name!r} is not what was set: {wanted}, read back {held}"
            )

    def reach(self, port: int) -> tuple[str, int]:
        """A local port that is forwarded to the edge's ``port``."""
        return ADDRESS, self._ask(Forward(port), Forwarded).port

    def stats(self) -> LinkStats:
        """Bytes through each direction, with the headers they would have had as packets.

        Packets sent, lost and dropped are 0: there are none to count. The backlog counts pieces of
        streams.
        """
        counted = self._ask(Count(), Counted)
        return LinkStats(_stats(counted.uplink), _stats(counted.downlink))

    def close(self) -> None:
        """End the process, and with it every forwarded connection. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait()
            for pipe in filter(None, (process.stdin, process.stdout)):
                with suppress(OSError):  # what a dead process never read cannot be flushed
                    pipe.close()
        if self._said is not None:
            self._said.close()
            self._said = None

    def _ask(self, order: Order, expected: type[_AnswerT]) -> _AnswerT:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise BackendError("the proxy is not running")
        # Not every system can wait for a pipe with a timeout; a killed process ends the pipe.
        watchdog = threading.Timer(_ANSWER_TIMEOUT_S, process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = b""
        finally:
            watchdog.cancel()
        if not line:
            raise BackendError(f"the proxy is gone ({self._last_words(process)})")
        answer: Answer = msgspec.json.decode(line, type=Answer)
        if isinstance(answer, Failed):
            raise BackendError(f"the proxy refused: {answer.error}")
        if not isinstance(answer, expected):
            raise BackendError(f"the proxy answered with {type(answer).__name__}")
        return answer

    def _last_words(self, process: subprocess.Popen[bytes]) -> str:
        said = ""
        if self._said is not None:
            self._said.seek(0)
            said = self._said.read()[-2000:].decode(errors="replace").strip()
        return f"exit code {process.wait()}" + (f": {said}" if said else "")


def _lane(direction: DirectionProfile) -> LaneSettings:
    return LaneSettings(
        direction.rate_bps, direction.delay_s, direction.jitter_s, direction.queue_s
    )


def _stats(count: LaneCount) -> DirectionStats:
    return DirectionStats(
        sent_packets=0,
        sent_bytes=count.sent_bytes,
        lost_packets=0,
        queue_dropped_packets=0,
        backlog_packets=count.held_pieces,
        backlog_bytes=count.held_bytes,
    )
