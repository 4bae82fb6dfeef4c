"""What a backend is: something that carries packets between two ends, shaped to a profile."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn, Protocol

from netem import unprivileged
from netem.emulator.ports import TUN_DEVICE
from netem.layout import Layout
from netem.link_stats import LinkStats
from netem.qdisc import ORDER_RATE_BPS
from offload.errors import ConfigError
from offload.types import LinkProfile

_ATTEMPT_S = 20.0


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
    carries_packets: ClassVar[bool]
    """True: IP packets between two namespaces; False: TCP connections on the loopback alone."""
    max_rate_bps: ClassVar[float]
    """Highest rate it carries faithfully; a profile above it is refused."""

    def __init__(self, layout: Any) -> None:
        """Takes a Layout where it carries packets, else a LoopbackLayout."""
        ...

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

    def reach(self, port: int) -> tuple[str, int]:
        """Address and port at which the device reaches what listens at the edge's ``port``."""
        ...

    @classmethod
    def limits(cls, profile: LinkProfile) -> tuple[str, ...]:
        """What of ``profile``, or of a network as such, it does not carry out; a line each."""
        ...

    def close(self) -> None:
        """Stop the router. Idempotent; the namespaces go with the layout's release."""
        ...


class PacketBackend:
    """What the backends share that carry packets: each end reaches the other by its address."""

    name: ClassVar[str]
    carries_packets: ClassVar[bool] = True
    max_rate_bps: ClassVar[float] = ORDER_RATE_BPS
    _layout: Layout

    def reach(self, port: int) -> tuple[str, int]:
        """The edge's own address and the same port."""
        return self._layout.edge.endpoint.address, port

    @classmethod
    def limits(cls, profile: LinkProfile) -> tuple[str, ...]:
        """Nothing: what it cannot carry out it refuses."""
        return ()

    def _refuse_too_fast(self, profile: LinkProfile) -> None:
        """Raise ConfigError where a rate is above what it carries faithfully."""
        for direction in (profile.uplink, profile.downlink):
            if direction.rate_bps is not None and direction.rate_bps > self.max_rate_bps:
                raise ConfigError(
                    f"profile {profile.name!r} asks for {direction.rate_bps / 1e6:g} Mbit/s; the"
                    f" {self.name} backend carries at most {self.max_rate_bps / 1e6:g} faithfully"
                )


def refuse_seed(backend: str) -> NoReturn:
    """What a backend without a generator of its own answers to :meth:`Backend.use_seed`.

    Raises:
        ConfigError: always.
    """
    raise ConfigError(
        f"backend {backend!r} takes no seed: its losses and delays cannot be made to repeat."
        " Backend 'tun' takes one"
    )


def try_in_scratch(
    argv: Sequence[str], env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str] | Capability:
    """Run a probe's attempt in a network namespace without a name, which ends with it.

    Returns:
        What it ended with; or a refusal where it did not end, as on a machine far too busy.
    """
    try:
        return subprocess.run(
            ["unshare", "--net", "--", *argv],
            env=env,
            capture_output=True,
            text=True,
            timeout=_ATTEMPT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Capability(
            False,
            f"a try in a scratch namespace did not end within {_ATTEMPT_S:g} s; is something else"
            " keeping this machine busy?",
        )


def missing_tools(tools: dict[str, str]) -> Capability | None:
    """A refusal that names what to install (or that this is no Linux), or None: all is there.

    Args:
        tools: program to Debian package.
    """
    if sys.platform != "linux":
        return Capability(False, f"it needs Linux, and this is {platform.system()}")
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if not missing:
        return None
    packages = sorted({tools[tool] for tool in missing})
    return Capability(
        runs=False,
        reason=f"not installed: {', '.join(missing)}",
        remedy=f"apt-get install {' '.join(packages)}",
    )


def missing_rights() -> Capability | None:
    """A refusal where this process may not make network namespaces, else None."""
    refused = unprivileged.namespaces_refused()
    return None if refused is None else Capability(False, refused.reason, refused.remedy)


def closed_tun_device() -> Capability | None:
    """A refusal where the TUN device cannot be opened, else None."""
    try:
        os.close(os.open(TUN_DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        return Capability(False, f"there is no {TUN_DEVICE}", "sudo modprobe tun")
    except OSError as error:
        mode = os.stat(TUN_DEVICE).st_mode & 0o777
        return Capability(
            False,
            f"cannot open {TUN_DEVICE}, mode {mode:04o}: {error.strerror}",
            f"sudo chmod 0666 {TUN_DEVICE}",
        )
    return None
