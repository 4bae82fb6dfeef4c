"""How faithfully a replay is carried: a trace replayed under traffic, binned and compared.

A flood of datagrams, a little above each row's rate, shows what the link lets through; a TCP
transfer, what a transport makes of it, which after an outage may long be less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netem import fidelity_traffic as traffic
from netem.fidelity_traffic import BIN_S
from netem.link import open_link
from netem.player import Replayed
from netem.trace_rows import MIN_RATE_BPS, first_profile
from offload.link_trace import LinkTrace
from offload.types import FloatArray

QUANTITIES = ("downlink", "uplink", "downlink_tcp", "uplink_tcp", "rtt")


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
    """A trace's five replays.

    Attributes:
        downlink, uplink: what got through of a flood of datagrams, payload.
        downlink_tcp, uplink_tcp: what TCP achieved, payload.
        rtt: round trips of pings on the idle link.
    """

    trace: str
    backend: str
    downlink: Compared
    uplink: Compared
    downlink_tcp: Compared
    uplink_tcp: Compared
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
    """Replay the trace's first seconds five times, each way under datagrams and TCP, then idle.

    Raises:
        BackendError: no backend that carries packets can run, or the link broke.
    """
    with open_link(first_profile(trace), backend, need_packets=True) as link:

        def rates(*, down: bool, tcp: bool) -> Compared:
            column = trace.downlink_bps if down else trace.uplink_bps
            capped = np.clip(column, MIN_RATE_BPS, link.max_rate_bps)
            ends = (link.edge, link.device) if down else (link.device, link.edge)
            if tcp:
                with traffic.connected(*ends, congestion_control) as (outgoing, incoming):
                    bits, kept = traffic.saturate(link, trace, outgoing, incoming, seconds)
            else:
                bits, kept = traffic.flood(link, trace, capped, ends, seconds)
            return Compared(means(trace, capped, seconds), bits / BIN_S, kept)

        found, kept = traffic.ping(link, trace, seconds)
        return Fidelity(
            trace=trace.name,
            backend=link.backend,
            downlink=rates(down=True, tcp=False),
            uplink=rates(down=False, tcp=False),
            downlink_tcp=rates(down=True, tcp=True),
            uplink_tcp=rates(down=False, tcp=True),
            rtt=Compared(means(trace, trace.rtt_s, seconds), found, kept),
        )


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
    return {name: agreement(getattr(fidelity, name)) for name in QUANTITIES}
