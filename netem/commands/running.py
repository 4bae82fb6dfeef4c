"""What ``up`` and ``play`` share: opening a link as asked, and running a program behind it."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netem.unprivileged_launch import in_foreground

if TYPE_CHECKING:
    from netem.link import Link
    from netem.namespaces import Endpoint
    from offload.types import DirectionProfile, LinkProfile

ADDRESS_VARIABLE, PORT_VARIABLE = "OFFLOAD_EDGE_ADDRESS", "OFFLOAD_EDGE_PORT"
_LISTEN_PATIENCE_S = 10.0
_LISTENING = {"tcp": "0A", "udp": "07"}
"""The kernel's codes for a TCP socket that listens and a UDP socket that is bound."""


@dataclass(frozen=True, kw_only=True)
class LinkOptions:
    """Options of every command that runs a program behind a link."""

    backend: str = "auto"
    """Network backend, or auto: the first that runs (see: python -m netem doctor)."""
    edge_command: str | None = None
    """Program to run on the edge's side meanwhile, quoted as one word with its arguments."""
    edge_port: int | None = None
    """Port that the edge command serves; the program starts once something listens there."""
    congestion_control: str | None = None
    """TCP congestion control at both ends for sockets that choose none, such as cubic or bbr."""
    seed: int | None = None
    """Draw losses and delays from this seed, so that a run can be repeated (backend tun)."""


@contextmanager
def opened(profile: LinkProfile, options: LinkOptions) -> Iterator[Link]:
    """Open a link, say on standard error what was set and by what, and count when it is left.

    Raises:
        ConfigError, BackendError, VerifyError: as :func:`netem.open_link`; also a congestion
            control that the kernel or the backend does not have.
    """
    from netem import congestion_control, unprivileged
    from netem.link import open_link
    from offload.errors import ConfigError

    _check(options)
    with open_link(profile, options.backend, seed=options.seed) as link:
        algorithm = "the system's choice"
        if options.congestion_control is not None:
            if not link.carries_packets:
                raise ConfigError(
                    f"backend {link.backend} has no routes of its own to set"
                    f" --congestion-control {options.congestion_control} on; leave it out"
                )
            algorithm = options.congestion_control
            congestion_control.set_on_routes((link.device, link.edge), algorithm)
        elif link.carries_packets:
            algorithm = f"{congestion_control.default()}, the default"
        say(link.reason)
        if (uid := unprivileged.outer_uid()) is not None:
            say(f"uid {uid} is root in namespaces of its own (network too), and nowhere else")
        say(f"{profile.name}: up {_described(profile.uplink)}")
        say(f"{profile.name}: down {_described(profile.downlink)}; TCP uses {algorithm}")
        for limit in link.limits:
            say(f"not carried out here: {limit}")
        yield link
        say(counted(link))


def run_on_device(link: Link, command: Sequence[str], options: LinkOptions) -> int:
    """Run a program on the device's side until it ends; the edge's program runs meanwhile.

    Where the edge's program is reached stands in ``$OFFLOAD_EDGE_ADDRESS`` and
    ``$OFFLOAD_EDGE_PORT``, and in place of ``{edge}`` and ``{port}`` in the arguments. The edge's
    program has no standard input, and its output goes to standard error. Ctrl-C at the terminal is
    left to the program, as a shell would do.

    Returns:
        The program's exit code; 128 and the signal's number where a signal ended it.

    Raises:
        ConfigError: no such program, the edge's program ended before it listened, or a backend
            that forwards single ports was given none.
    """
    from offload.errors import ConfigError

    if not link.carries_packets and options.edge_port is None:
        raise ConfigError(
            f"backend {link.backend} carries no packets, only TCP to one port of the edge: name it"
            " by --edge-port, and have the program connect to {edge} at {port}"
        )
    port = options.edge_port
    reached, reached_port = (link.edge.address, None) if port is None else link.reach(port)
    edge_process = None
    try:
        if options.edge_command is not None:
            edge_process = link.edge.popen(
                _filled(_split(options.edge_command), link.edge.address, port),
                env=_environment(link.edge.address, port),
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                start_new_session=True,  # Ctrl-C is for the command, which may go on after it
            )
        if port is not None:
            _wait_for_listener(link.edge, port, edge_process)
        with _terminal_interrupts_left_to_the_command():
            code = link.device.popen(
                _filled(command, reached, reached_port), env=_environment(reached, reached_port)
            ).wait()
    except FileNotFoundError as error:
        raise ConfigError(str(error)) from error
    if edge_process is not None and edge_process.poll() is not None:
        say(f"the edge command had ended by itself, with exit code {edge_process.returncode}")
    return code if code >= 0 else 128 - code


def _check(options: LinkOptions) -> None:
    """Refuse what no link could do, before one is opened."""
    from netem.congestion_control import check_available
    from offload.errors import ConfigError

    if options.congestion_control is not None:
        check_available(options.congestion_control)
    if options.edge_port is not None and not 1 <= options.edge_port <= 65535:
        raise ConfigError(f"--edge-port is {options.edge_port}; it must lie from 1 to 65535")
    if options.edge_command is not None:
        _split(options.edge_command)


def counted(link: Link) -> str:
    """One line: what each direction carried and lost since its queues were built."""
    from offload.errors import BackendError

    try:
        stats = link.stats()
    except BackendError as error:
        return f"counters: unknown, since {error}"
    if not link.carries_packets:  # and so there is nothing that could be lost
        up, down = stats.uplink.sent_bytes, stats.downlink.sent_bytes
        return f"counters: up {up} bytes, down {down} bytes, modelled headers included"
    return "counters: " + "; ".join(
        f"{name} {one.sent_packets} packets ({one.sent_bytes} bytes) sent, {one.lost_packets} lost,"
        f" {one.queue_dropped_packets} dropped by the full queue"
        for name, one in (("up", stats.uplink), ("down", stats.downlink))
    )


def _filled(words: Sequence[str], address: str, port: int | None) -> list[str]:
    if port is not None:
        words = [word.replace("{port}", str(port)) for word in words]
    return [word.replace("{edge}", address) for word in words]


def _environment(address: str, port: int | None) -> dict[str, str]:
    added = {ADDRESS_VARIABLE: address}
    if port is not None:
        added[PORT_VARIABLE] = str(port)
    return {**os.environ, **added}


def _described(direction: DirectionProfile) -> str:
    rate = "unlimited" if direction.rate_bps is None else f"{direction.rate_bps / 1e6:g} Mbit/s"
    delay = f"{direction.delay_s * 1e3:g} ± {direction.jitter_s * 1e3:g} ms"
    loss = "no loss"
    if direction.loss_enter:
        loss = f"loss {direction.loss * 100:.2g} % in bursts of {1 / direction.loss_leave:.2g}"
    queue = "" if direction.rate_bps is None else f", queue {direction.queue_s * 1e3:g} ms"
    return f"{rate}, {delay}, {loss}{queue}"


def _split(command: str) -> list[str]:
    from offload.errors import ConfigError

    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"--edge-command {command!r}: {error}") from error
    if not words:
        raise ConfigError("--edge-command is empty; name a program")
    return words


def _wait_for_listener(edge: Endpoint, port: int, process: subprocess.Popen[bytes] | None) -> None:
    """Wait until something listens at that port of the edge."""
    from offload.errors import ConfigError

    deadline = time.monotonic() + _LISTEN_PATIENCE_S
    while not edge.call(_listens, edge.address, port):
        if process is not None and process.poll() is not None:
            raise ConfigError(
                f"the edge command ended with exit code {process.returncode} before anything"
                f" listened at port {port}"
            )
        if time.monotonic() > deadline:
            raise ConfigError(
                f"nothing listens at port {port} of the edge after {_LISTEN_PATIENCE_S:g} s;"
                " does the edge command serve another?"
            )
        time.sleep(0.02)


def _listens(address: str, port: int) -> bool:
    """Whether a socket of this thread's network namespace serves the port."""
    if sys.platform != "linux":
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1.0):
            return True
        return False
    # Read off the kernel's tables: a connection just to see would unsettle some servers.
    for protocol, state in _LISTENING.items():
        for table in (protocol, f"{protocol}6"):
            try:
                with open(f"/proc/thread-self/net/{table}") as lines:
                    sockets = [line.split() for line in lines][1:]
            except FileNotFoundError:
                continue  # a kernel without IPv6
            if any(int(s[1].rpartition(":")[2], 16) == port and s[3] == state for s in sockets):
                return True
    return False


@contextmanager
def _terminal_interrupts_left_to_the_command() -> Iterator[None]:
    """Ctrl-C reaches every process in the terminal's foreground; only the command acts on it.

    A SIGINT that comes from elsewhere still interrupts: it was meant for this process.
    """

    def interrupted(signal_number: int, frame: object) -> None:
        if not in_foreground():
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def say(text: str) -> None:
    """One line to standard error, where the command's own output is not."""
    print(f"netem: {text}", file=sys.stderr, flush=True)
