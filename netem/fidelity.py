"""How faithfully a replay is carried: a trace replayed under traffic, binned and compared."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from netem.link import Link, open_link
from netem.namespaces import Endpoint
from netem.player import MIN_RATE_BPS, Replayed, TracePlayer, first_profile
from offload.errors import BackendError
from offload.link_trace import LinkTrace
from offload.types import FloatArray

BIN_S = 0.5
PING_EVERY_S = 0.02
_PORT = 7001
_CHUNK = bytes(64 * 1024)
_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Compared:
    """One quantity as set and as found, in bins of BIN_S; arrays of shape (bins,).

    Attributes:
        set: mean of what the replay set over each bin, in bit/s or s.
        found: what was achieved or measured in it; NaN: nothing was measured.
        kept: how well the replay kept time.
    """

    set: FloatArray
    found: FloatArray
    kept: Replayed


@dataclass(frozen=True, slots=True)
class Fidelity:
    """A trace's three replays."""

    trace: str
    backend: str
    downlink: Compared
    uplink: Compared
    rtt: Compared


@dataclass(frozen=True, slots=True)
class Agreement:
    """How found and set agree over the bins.

    Attributes:
        correlation: Pearson's.
        median_ratio: of found to set.
        bins: how many were compared.
        late_median_s, late_worst_s: how late rows were set.
        skipped: rows that were skipped.
    """

    correlation: float
    median_ratio: float
    bins: int
    late_median_s: float
    late_worst_s: float
    skipped: int


def replay(trace: LinkTrace, backend: str, seconds: float, congestion_control: str) -> Fidelity:
    """Replay the trace's first seconds three times: under TCP down, under TCP up, under pings.

    Raises:
        BackendError: no backend that carries packets can run, or the link broke.
    """
    with open_link(first_profile(trace), backend, need_packets=True) as link:
        device, edge = link.device, link.edge

        def rates(column: FloatArray, sender: Endpoint, receiver: Endpoint) -> Compared:
            capped = np.clip(column, MIN_RATE_BPS, link.max_rate_bps)
            with _connected(sender, receiver, congestion_control) as (outgoing, incoming):
                bits, kept = _saturate(link, trace, outgoing, incoming, seconds)
            return Compared(means(trace, capped, seconds), bits / BIN_S, kept)

        down = rates(trace.downlink_bps, edge, device)
        up = rates(trace.uplink_bps, device, edge)
        found, kept = _ping(link, trace, seconds)
        rtt = Compared(means(trace, trace.rtt_s, seconds), found, kept)
        return Fidelity(trace.name, link.backend, down, up, rtt)


def means(trace: LinkTrace, column: FloatArray, seconds: float) -> FloatArray:
    """Mean of a column of the trace over each bin of its first seconds, shape (bins,)."""
    edges = np.arange(int(seconds / BIN_S) + 1) * BIN_S
    starts = np.append(trace.t_s, trace.end_s)
    area = np.concatenate([[0.0], np.cumsum(column * np.diff(starts))])
    return np.diff(np.interp(edges, starts, area)) / BIN_S


def agreement(compared: Compared) -> Agreement:
    """How found and set agree; bins without a measurement are left out."""
    there = np.isfinite(compared.found)
    wanted, found = compared.set[there], compared.found[there]
    moves = len(wanted) > 1 and wanted.std() > 0.0 and found.std() > 0.0
    return Agreement(
        correlation=float(np.corrcoef(wanted, found)[0, 1]) if moves else float("nan"),
        median_ratio=float(np.median(found / wanted)),
        bins=len(wanted),
        late_median_s=compared.kept.late_median_s,
        late_worst_s=compared.kept.late_worst_s,
        skipped=compared.kept.skipped,
    )


def summary(fidelity: Fidelity) -> dict[str, Agreement]:
    """The agreement of each quantity."""
    return {name: agreement(getattr(fidelity, name)) for name in ("downlink", "uplink", "rtt")}


def plot(fidelity: Fidelity, path: Path) -> None:
    """Set and found over time, a panel a quantity."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7), layout="constrained")
    axes = figure.subplots(3, 1, sharex=True)
    panels = (
        ("downlink", 1e6, "downlink, Mbit/s", "TCP payload"),
        ("uplink", 1e6, "uplink, Mbit/s", "TCP payload"),
        ("rtt", 1e-3, "round trip, ms", "pings, median"),
    )
    for axis, (name, unit, label, found) in zip(axes, panels, strict=True):
        part: Compared = getattr(fidelity, name)
        agrees = agreement(part)
        t_s = np.arange(len(part.set) + 1) * BIN_S
        axis.stairs(part.set / unit, t_s, color="0.6", linewidth=2.5, label="set", baseline=None)
        axis.stairs(part.found / unit, t_s, color="C0", linewidth=1.2, label=found, baseline=None)
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0.0)
        axis.grid(alpha=0.3)
        axis.set_title(
            f"correlation {agrees.correlation:.3f}, median ratio {agrees.median_ratio:.3f}",
            fontsize="small",
            loc="right",
        )
        axis.legend(loc="upper left", fontsize="small")
    axes[-1].set_xlabel("seconds of the replay")
    axes[0].set_title(f"{fidelity.trace} over {fidelity.backend}", loc="left")
    figure.savefig(path, dpi=110)


@contextlib.contextmanager
def _connected(
    sender: Endpoint, receiver: Endpoint, congestion_control: str
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A TCP connection between the ends: (sender's socket, receiver's)."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(receiver.call(_listen, receiver.address))
        outgoing = stack.enter_context(sender.call(_socket, congestion_control))
        outgoing.settimeout(_PATIENCE_S)
        listener.settimeout(_PATIENCE_S)
        try:
            outgoing.connect((receiver.address, _PORT))
            incoming, _ = listener.accept()
        except OSError as error:
            raise BackendError(f"no connection over the link: {error}") from error
        yield outgoing, stack.enter_context(incoming)


def _listen(address: str) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, _PORT))
    listener.listen()
    return listener


def _socket(congestion_control: str) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion_control.encode())
    return made


def _saturate(
    link: Link, trace: LinkTrace, outgoing: socket.socket, incoming: socket.socket, seconds: float
) -> tuple[FloatArray, Replayed]:
    """Bits received in each bin while the trace is replayed, shape (bins,)."""
    bits = np.zeros(int(seconds / BIN_S))
    over = threading.Event()

    def send() -> None:
        with contextlib.suppress(OSError):  # shut down under it, or nothing gets through
            while not over.is_set():
                outgoing.sendall(_CHUNK)

    sending = threading.Thread(target=send)
    with TracePlayer(link, trace, loop=True) as player:
        sending.start()
        incoming.settimeout(BIN_S)
        try:
            while player.elapsed_s < seconds:
                with contextlib.suppress(TimeoutError):
                    got = len(incoming.recv(1 << 20))
                    index = int(player.elapsed_s / BIN_S)
                    if index < len(bits):
                        bits[index] += 8 * got
        finally:
            over.set()
            with contextlib.suppress(OSError):
                outgoing.shutdown(socket.SHUT_RDWR)
            sending.join()
        return bits, player.report()


def _ping(link: Link, trace: LinkTrace, seconds: float) -> tuple[FloatArray, Replayed]:
    """Median round trip of the pings sent in each bin of an idle replay, shape (bins,)."""
    samples: list[list[float]] = [[] for _ in range(int(seconds / BIN_S))]
    with (
        link.edge.call(_datagrams, link.edge.address) as echo,
        link.device.call(_datagrams, link.device.address) as ping,
    ):
        over = threading.Event()

        def answer() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    data, whence = echo.recvfrom(64)
                    echo.sendto(data, whence)

        def listen() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    sent_s, index = np.frombuffer(ping.recv(64))
                    samples[int(index)].append(time.monotonic() - sent_s)

        threads = [threading.Thread(target=run) for run in (answer, listen)]
        for thread in threads:
            thread.start()
        try:
            with TracePlayer(link, trace, loop=True) as player:
                while (index := int(player.elapsed_s / BIN_S)) < len(samples):
                    message = np.array([time.monotonic(), float(index)]).tobytes()
                    ping.sendto(message, (link.edge.address, _PORT))
                    time.sleep(PING_EVERY_S)
                time.sleep(float(trace.rtt_s.max()))  # the last ones are still on their way
                kept = player.report()
        finally:
            over.set()
            for thread in threads:
                thread.join()
    return np.array([np.median(bin) if bin else np.nan for bin in samples]), kept


def _datagrams(address: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, _PORT))
    made.settimeout(0.2)
    return made
