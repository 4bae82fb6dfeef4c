"""What a backend is: something that carries packets between two ends, shaped to a profile."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import ClassVar, NoReturn, Protocol

from netem.layout import Layout
from netem.qdisc import LinkStats
from offload.errors import ConfigError
from offload.types import LinkProfile


@dataclass(frozen=True, slots=True)
class Capability:
    """What a backend can do on this machine.

    Attributes:
        runs: whether it can be started here.
        reason: one line: what it found, or why it cannot run.
        remedy: the command that would make it run; empty where it runs or nothing would.
    """

    runs: bool
    reason: str
    remedy: str = ""


class Backend(Protocol):
    """A way to carry the packets. Made for one layout, started once, closed once or more often."""

    name: ClassVar[str]
    """The word the command line knows it by."""
    summary: ClassVar[str]
    """One line on what it is."""

    def __init__(self, layout: Layout) -> None: ...

    @classmethod
    def probe(cls) -> Capability:
        """Find out, by trying, whether it can run here; leaves nothing behind."""
        ...

    def use_seed(self, seed: int) -> None:
        """Draw losses and delays from that seed; called before :meth:`start`, if at all.

        Raises:
            ConfigError: it takes no seed.
        """
        ...

    def start(self) -> None:
        """Make the namespaces and the wires; packets pass unshaped afterwards.

        Raises:
            BackendError: it could not; :meth:`close` must still be called.
        """
        ...

    def apply(self, profile: LinkProfile) -> None:
        """Set a profile, read it back, compare.

        Raises:
            ConfigError: the backend cannot carry such a profile; nothing was changed.
            VerifyError: read back different from what was set.
            BackendError: the router is gone or refused.
        """
        ...

    def stats(self) -> LinkStats:
        """Counters of both directions."""
        ...

    def close(self) -> None:
        """Stop the router. Idempotent; the namespaces go with the layout's release."""
        ...


def refuse_seed(backend: str) -> NoReturn:
    """What a backend without a generator of its own answers to :meth:`Backend.use_seed`.

    Raises:
        ConfigError: always.
    """
    raise ConfigError(
        f"backend {backend!r} takes no seed: its losses and delays cannot be made to repeat."
        " Backend 'tun' takes one"
    )


def missing_tools(tools: dict[str, str]) -> Capability | None:
    """A refusal that names the packages to install, or None when every tool is there.

    Args:
        tools: program to Debian package.
    """
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if not missing:
        return None
    packages = sorted({tools[tool] for tool in missing})
    return Capability(
        runs=False,
        reason=f"not installed: {', '.join(missing)}",
        remedy=f"apt-get install {' '.join(packages)}",
    )
