"""Both ends of a link on this machine's own loopback, for a backend that has no namespaces."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from netem.namespaces import Endpoint
from offload.errors import BackendError

ADDRESS = "127.0.0.1"
"""The one loopback address that every system has; others of 127/8 are Linux's."""
_GRACE_S = 1.0
_Result = TypeVar("_Result")


class Programs:
    """The programs started at one end, so that closing the link ends them."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[Any]] = []
        self._closed = False

    def check_open(self) -> None:
        """Raises BackendError once the link is closed."""
        if self._closed:
            raise BackendError("the link is closed")

    def add(self, process: subprocess.Popen[Any]) -> None:
        """Take note of a program; those that have ended are forgotten."""
        self._started = [known for known in self._started if known.poll() is None]
        self._started.append(process)

    def end(self) -> None:
        """End them: SIGTERM, then SIGKILL after a second. What they started is theirs to end."""
        self._closed = True
        running = [process for process in self._started if process.poll() is None]
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._started.clear()


@dataclass(frozen=True, slots=True)
class LoopbackEndpoint(Endpoint):
    """An end without a namespace: what runs there runs on this machine as it is.

    A copy sent to another process knows nothing of the link's end.
    """

    address: str = ADDRESS
    namespace: str = ""
    interface: str = ""
    programs: Programs = field(default_factory=Programs, repr=False, compare=False)

    def __reduce__(self) -> tuple[type[LoopbackEndpoint], tuple[str]]:
        return LoopbackEndpoint, (self.address,)

    def enter(self) -> None:
        """Nothing to enter. Raises BackendError where the link is closed."""
        self.programs.check_open()

    def call(self, function: Callable[..., _Result], *args: Any) -> _Result:
        """Run ``function(*args)`` here and now. Raises BackendError where the link is closed."""
        self.programs.check_open()
        return function(*args)

    def popen(self, argv: Sequence[str], **popen_kwargs: Any) -> subprocess.Popen[Any]:
        """Start a program; see :meth:`netem.namespaces.Endpoint.popen`."""
        path = None if popen_kwargs.get("env") is None else popen_kwargs["env"].get("PATH")
        if shutil.which(argv[0], path=path) is None:
            raise FileNotFoundError(f"no program {argv[0]!r} on the PATH")
        self.programs.check_open()
        process = subprocess.Popen(argv, **popen_kwargs)
        self.programs.add(process)
        return process


def refuse_to_pass_by(end: Endpoint, what: str) -> None:
    """Stop what would go straight over the loopback, past the proxy, and measure nothing.

    Raises:
        BackendError: ``end`` is that of a link that carries no packets.
    """
    if isinstance(end, LoopbackEndpoint):
        raise BackendError(
            f"{what} would pass by a link that carries no packets; only connections to"
            " Link.reach(port) cross it"
        )


@dataclass(frozen=True, slots=True)
class LoopbackLayout:
    """Both ends of a link on the loopback. It claims nothing: ports are the system's to give."""

    device: LoopbackEndpoint = field(default_factory=LoopbackEndpoint)
    edge: LoopbackEndpoint = field(default_factory=LoopbackEndpoint)

    def release(self) -> None:
        """End what was started at either end. Idempotent."""
        self.device.programs.end()
        self.edge.programs.end()
