"""What the machine and its emulator can do before a run: is the link, left unshaped, quick enough?

A figure measured while the emulator waits for a CPU says nothing about the link it was to be. So a
run begins with echoes over the link unshaped, one at a time, with sleeps of a millisecond between
them. Where they come back late, or the sleeps end late, the run is void and is not reported.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from netem.link import Link
from netem.measurement import settle
from netem.streams import connected_streams
from offload.errors import VoidRun
from offload.link_profiles import get_profile

ECHOES = 200
PAUSE_S = 5.0
"""How long a busy machine is given to become quiet before the second and last try."""
_SLEEP_S = 0.001
_ECHO_BYTES = 22  # a 64-byte frame
_PATIENCE_S = 2.0
_USER, _SYSTEM, _IRQ, _SOFTIRQ, _STEAL = 0, 2, 5, 6, 7
_KINDS = 8
"""Columns of the first line of /proc/stat, see proc(5)."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The most a baseline may show.

    Attributes:
        rtt_p50_s: median round trip of an echo.
        rtt_p99_s: 99th percentile of the same.
        wake_p99_s: 99th percentile of how late a sleep of a millisecond ends.
        busy: share of the CPUs' time in use; what runs at a lower priority (nice) is left out. No
            bound where this process has real-time priority (``chrt -r 1``): it does not wait.
        steal: share of the CPUs' time that a hypervisor gave to others.
    """

    rtt_p50_s: float
    rtt_p99_s: float
    wake_p99_s: float = 3e-3
    busy: float = 0.9
    steal: float = 0.05


BOUNDS: dict[str, Bound] = {
    "tc": Bound(rtt_p50_s=0.5e-3, rtt_p99_s=2e-3),
    "uml": Bound(rtt_p50_s=0.8e-3, rtt_p99_s=3e-3),
    "tun": Bound(rtt_p50_s=0.8e-3, rtt_p99_s=3e-3),
    "proxy": Bound(rtt_p50_s=1.5e-3, rtt_p99_s=5e-3),
}
"""By backend; chosen between an idle machine and a busy one, see docs/network.md."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was measured, and what it may be.

    Attributes:
        backend: of the link.
        echoes: how many echoes, and sleeps.
        rtt_p50_s, rtt_p99_s, wake_p99_s, busy, steal: as in :class:`Bound`.
        load: the machine's load average of the last minute; for the reader, not bounded.
        bound: what each may be.
    """

    backend: str
    echoes: int
    rtt_p50_s: float
    rtt_p99_s: float
    wake_p99_s: float
    busy: float
    steal: float
    load: float
    bound: Bound

    @property
    def faults(self) -> tuple[str, ...]:
        """What is out of bounds; empty where the run may count."""
        lates = (
            ("median echo", self.rtt_p50_s, self.bound.rtt_p50_s),
            ("echo p99", self.rtt_p99_s, self.bound.rtt_p99_s),
            ("wake-up p99", self.wake_p99_s, self.bound.wake_p99_s),
        )
        shares = (
            ("CPUs busy", self.busy, self.bound.busy),
            ("CPU time stolen", self.steal, self.bound.steal),
        )
        return (
            *(
                f"{what} {1e3 * value:.2f} ms, at most {1e3 * most:g} ms"
                for what, value, most in lates
                if value > most
            ),
            *(
                f"{what} {value:.0%}, at most {most:.0%}"
                for what, value, most in shares
                if value > most
            ),
        )

    def __str__(self) -> str:
        return (
            f"baseline over {self.backend}, unshaped: echo p50 {1e3 * self.rtt_p50_s:.2f} ms"
            f" (bound {1e3 * self.bound.rtt_p50_s:g}), p99 {1e3 * self.rtt_p99_s:.2f} ms"
            f" (bound {1e3 * self.bound.rtt_p99_s:g}), wake-up p99 {1e3 * self.wake_p99_s:.2f} ms"
            f" (bound {1e3 * self.bound.wake_p99_s:g}), CPUs busy {self.busy:.0%} (bound"
            f" {self.bound.busy:.0%}), n {self.echoes}"
        )

    def as_dict(self) -> dict[str, Any]:
        """For a result file."""
        return {**asdict(self), "faults": list(self.faults)}


def measure_baseline(link: Link, echoes: int = ECHOES) -> Baseline:
    """Unshape the link, measure for half a second or less, and set its profile again.

    Raises:
        BackendError, VerifyError: as :meth:`Link.apply`.
    """
    profile = link.profile
    link.apply(get_profile("lan"))
    settle(link)
    before = _cpu_ticks()
    rtts_s, lates_s = _echo(link, echoes)
    ticks = [now - then for now, then in zip(_cpu_ticks(), before, strict=True)]
    link.apply(profile)
    return Baseline(
        backend=link.backend,
        echoes=echoes,
        rtt_p50_s=_quantile(rtts_s, 0.50),
        rtt_p99_s=_quantile(rtts_s, 0.99),
        wake_p99_s=_quantile(lates_s, 0.99),
        busy=_share(ticks, _USER, _SYSTEM, _IRQ, _SOFTIRQ),
        steal=_share(ticks, _STEAL),
        load=os.getloadavg()[0],
        bound=_bound(link.backend),
    )


def fit_baseline(
    link: Link, report: Callable[[str], None], *, pause_s: float = PAUSE_S
) -> Baseline:
    """A baseline within its bounds, from the first try or, after a pause, from the second.

    Args:
        report: is told why it waits.

    Raises:
        VoidRun: both are out of bounds.
    """
    first = measure_baseline(link)
    if not first.faults:
        return first
    report(f"{'; '.join(first.faults)}; trying once more in {pause_s:g} s")
    time.sleep(pause_s)
    second = measure_baseline(link)
    if second.faults:
        raise VoidRun(void_reason(second))
    return second


def void_reason(baseline: Baseline) -> str:
    """Why a run with such a baseline does not count, and the way out."""
    return (
        f"the run is void: {'; '.join(baseline.faults)} (load {baseline.load:.1f} on"
        f" {os.cpu_count()} CPUs). Something else keeps this machine busy; let it end, or run on a"
        " quieter machine"
    )


def _bound(backend: str) -> Bound:
    bound = BOUNDS[backend]
    if sys.platform == "linux" and os.sched_getscheduler(0) in (os.SCHED_RR, os.SCHED_FIFO):
        return replace(bound, busy=1.0)
    return bound


def _echo(link: Link, count: int) -> tuple[list[float], list[float]]:
    """Seconds of each round trip, and how late each sleep before it ended.

    One thread plays both ends, so no lock of the interpreter adds to what is measured. An echo that
    does not come back counts as the time it was waited for.
    """
    device, edge = _sockets(link)
    rtts_s, lates_s = [], []
    with device, edge:
        for end in (device, edge):
            end.settimeout(_PATIENCE_S)
        for _ in range(count):
            begin = time.perf_counter()
            time.sleep(_SLEEP_S)
            woken = time.perf_counter()
            lates_s.append(woken - begin - _SLEEP_S)
            try:
                for sender, receiver in ((device, edge), (edge, device)):
                    sender.send(bytes(_ECHO_BYTES))
                    receiver.recv(2 * _ECHO_BYTES)
            except TimeoutError:
                rtts_s.append(_PATIENCE_S)
                break
            rtts_s.append(time.perf_counter() - woken)
    return rtts_s, lates_s


def _sockets(link: Link) -> tuple[socket.socket, socket.socket]:
    """The device's and the edge's, connected: UDP where the backend carries it, else TCP."""
    if not link.carries_packets:
        device, edge = connected_streams(link)
        for end in (device, edge):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return device, edge
    device, edge = (end.call(_datagrams, end.address) for end in (link.device, link.edge))
    device.connect(edge.getsockname())
    edge.connect(device.getsockname())
    return device, edge


def _datagrams(address: str) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind((address, 0))
    return opened


def _quantile(values: list[float], share: float) -> float:
    """The smallest value that at least ``share`` of them do not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _cpu_ticks() -> list[int]:
    """The CPUs' time since boot, by kind; all zero where there is no /proc."""
    try:
        first, _, _ = Path("/proc/stat").read_text().partition("\n")
    except OSError:
        return [0] * _KINDS
    return [int(word) for word in first.split()[1 : 1 + _KINDS]]


def _share(ticks: list[int], *kinds: int) -> float:
    return sum(ticks[kind] for kind in kinds) / max(1, sum(ticks))
