"""The link that a live run's transfers met, as it was set: what the simulator would be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from envs.link_process import MIN_RTT_S, UNLIMITED_BPS
from envs.trace_process import TraceBank
from netem.trace_rows import MIN_RATE_BPS
from offload.link_trace import LinkTrace
from offload.types import LinkProfile, LinkState, PairedRun

NAMES = ("rtt_s", "jitter_s", "loss", "uplink_bps", "downlink_bps")
"""What of a link is set, so all of a LinkState but its age."""


def link_of(profile: LinkProfile) -> LinkState:
    """A profile as the state of a link that keeps to it."""
    up, down = profile.uplink, profile.downlink
    return LinkState(
        rtt_s=max(up.delay_s + down.delay_s, MIN_RTT_S),
        # The two directions vary independently, so their variances add.
        jitter_s=float(np.hypot(up.jitter_s, down.jitter_s)),
        loss=(up.loss + down.loss) / 2,
        uplink_bps=up.rate_bps or UNLIMITED_BPS,
        downlink_bps=down.rate_bps or UNLIMITED_BPS,
    )


def set_links(
    pairs: Sequence[PairedRun],
    profile: LinkProfile,
    trace: LinkTrace | None,
    max_rate_bps: float = UNLIMITED_BPS,
) -> list[LinkState]:
    """The link as set when each edge run was asked for.

    Of a trace: its row at that moment, but each rate the mean over the time in which the link
    carries the run's bytes, since a transfer may outlast the row it starts in.

    Args:
        max_rate_bps: the most that the backend carries; what a trace has above it was clipped.
    """
    if trace is None:
        return [link_of(profile)] * len(pairs)
    bounded = replace(
        trace,
        uplink_bps=np.clip(trace.uplink_bps, MIN_RATE_BPS, max_rate_bps),
        downlink_bps=np.clip(trace.downlink_bps, MIN_RATE_BPS, max_rate_bps),
    )
    bank = TraceBank([bounded])
    return [_replayed(bank, pair) for pair in pairs]


def _replayed(bank: TraceBank, pair: PairedRun) -> LinkState:
    only = np.array([0])
    asked_s = np.array([[pair.trace_s or 0.0]])
    row = bank.states(only, asked_s)
    away_s = 0.0
    if pair.edge is not None:
        away_s = float(pair.edge.upload_s + pair.edge.queue_s + pair.edge.compute_s)
    sent, got = (
        np.array([[max(float(n), 1.0)]])
        for n in (pair.predicted.input_bytes, pair.predicted.output_bytes)
    )
    up_s = bank.carry_uplink_s(only, asked_s, sent)
    down_s = bank.carry_downlink_s(only, asked_s + away_s, got)
    return LinkState(
        rtt_s=float(row.rtt_s.item()),
        jitter_s=float(row.jitter_s.item()),
        loss=float(row.loss.item()),
        uplink_bps=float((8.0 * sent / up_s).item()),
        downlink_bps=float((8.0 * got / down_s).item()),
    )


def set_facts(links: Sequence[LinkState]) -> dict[str, list[float]]:
    """Columns of decisions.csv: the link as set for each pair."""
    return {f"set_{name}": [float(getattr(link, name)) for link in links] for name in NAMES}
