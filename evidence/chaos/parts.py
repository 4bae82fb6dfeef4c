"""The processes a row works on: the edge server, and clients. All end with their ``with`` block."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import msgspec

from edge_server.config import ServerConfig
from evidence.chaos.client import ClientOptions
from evidence.chaos.history import VARIABLE, History, Sample
from offload.errors import OffloadError
from testbed.processes import named_port, read_line

_ROOT = Path(__file__).resolve().parents[2]
_END_S = 20.0
_SAMPLE_S = 0.5


class ChaosError(OffloadError):
    """A row could not be carried out; it shows nothing."""


class Starter(Protocol):
    """Starts programs somewhere: an end of a link, or this machine."""

    def popen(self, argv: list[str], **popen_kwargs: Any) -> subprocess.Popen[Any]:
        """As :class:`subprocess.Popen`."""
        ...


class ThisMachine:
    """Starts programs here."""

    def popen(self, argv: list[str], **popen_kwargs: Any) -> subprocess.Popen[Any]:
        """As :class:`subprocess.Popen`."""
        return subprocess.Popen(argv, **popen_kwargs)


class Part:
    """A process of ours, started with its row's history at hand."""

    what = "a part"

    def __init__(self, words: list[str], history: History, where: Starter | None = None) -> None:
        self._history = history
        self._process: subprocess.Popen[bytes] = (where or ThisMachine()).popen(
            [sys.executable, "-m", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            env={**os.environ, VARIABLE: str(history.path)},
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Its process has ended."""
        return self._process.poll() is not None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self, timeout_s: float = _END_S) -> int:
        """Wait for its end; the exit status.

        Raises:
            ChaosError: it does not end.
        """
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ChaosError(f"{self.what} did not end within {timeout_s:g} s") from None
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        return status

    def kill(self) -> None:
        """Kill it, stopped or not, and wait for its end; may be called twice."""
        self._process.kill()
        self.wait()

    def sample(self) -> Sample:
        """Note what it holds in memory and descriptors."""
        sample = Sample(
            time.monotonic(),
            self.pid,
            rss_bytes(self.pid),
            len(os.listdir(f"/proc/{self.pid}/fd")),
        )
        self._history.write(sample)
        return sample

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.kill()


class Server(Part):
    """An edge server with the suite's tasks; it is killed at the end of its ``with`` block.

    Args:
        settings: those of :class:`ServerConfig`; the port is a free one unless given.
        where: what starts it; None: this machine.
    """

    what = "the edge server"

    def __init__(
        self, history: History, settings: Mapping[str, Any], where: Starter | None = None
    ) -> None:
        config = ServerConfig(**{"port": 0, "log_level": "error", **settings})
        text = msgspec.json.encode(config, enc_hook=str).decode()
        super().__init__(["evidence.chaos.serve", text], history, where)
        try:
            self.port = named_port(self._process, self.what)
        except BaseException:
            self.kill()
            raise

    def workers(self) -> list[int]:
        """Pids of its children."""
        return [
            int(child)
            for thread in Path(f"/proc/{self.pid}/task").iterdir()
            for child in (thread / "children").read_text().split()
        ]


class Clients(Part):
    """A process of clients with engines; at the end of its ``with`` block they finish their tasks.

    A process that ends by itself, or does not end when asked, is a :class:`ChaosError`.
    """

    what = "a client"

    def __init__(
        self, history: History, options: ClientOptions, where: Starter | None = None
    ) -> None:
        self._struck = False
        text = msgspec.json.encode(options).decode()
        super().__init__(["evidence.chaos.client", text, str(history.path)], history, where)
        try:
            read_line(self._process, self.what)
        except BaseException:
            self.kill()
            raise

    def finish(self) -> None:
        """Have them submit no more, and wait until what is under way has ended."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        if status := self.wait():
            raise ChaosError(f"a client ended with status {status}; its error is above")

    def strike(self) -> None:
        """Kill it on purpose, noted in the history."""
        self._struck = True
        self._history.fault("kill-client", self.pid)
        self.kill()

    def __exit__(self, *raised: object) -> None:
        try:
            if raised[0] is None and not self._struck:
                self.finish()
        finally:
            self.kill()


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


class Sampler:
    """Notes what some processes hold, every half second. A context manager."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sampler", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_SAMPLE_S):
            for part in self._parts:
                part.sample()
