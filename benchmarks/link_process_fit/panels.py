"""Measured links, and synthetic ones looked at in the same way, as panels of half-second rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from benchmarks.link_process_fit.statistics import ROW_S
from envs.config import LinkProcessConfig
from envs.link_path import draw_path
from offload.errors import TraceError
from offload.link_trace import LinkTrace
from offload.types import FloatArray, IntArray

PING_RUN_S = 30.0
"""The measured pings ran for so long; the rest of a trace repeats them."""
LOOKS_A_ROW = 4
"""The synthetic link is drawn so often a row: a row's rate is a mean over time, as measured."""
PINGS_A_WINDOW = 25
"""Pings in the five seconds that one figure of loss counts."""
WINDOW_ROWS = 10


@dataclass(frozen=True, slots=True)
class Panels:
    """Many links side by side; every array has shape (rows, links), NaN behind a link's end.

    Attributes:
        uplink, downlink: rates, in any unit.
        rtt: round-trip time in any unit, of the first PING_RUN_S alone.
        ping_loss: share of pings lost in the five seconds around, of the same time.
    """

    uplink: FloatArray
    downlink: FloatArray
    rtt: FloatArray
    ping_loss: FloatArray

    def links(self, chosen: IntArray) -> Panels:
        """Some of the links, in that order; one may be there more than once."""
        return Panels(
            self.uplink[:, chosen],
            self.downlink[:, chosen],
            self.rtt[:, chosen],
            self.ping_loss[:, chosen],
        )


def measured(traces: Sequence[LinkTrace]) -> Panels:
    """Panels of traces with a row each half second.

    Raises:
        TraceError: a trace has other rows, or is not longer than the ping run.
    """
    pings = round(PING_RUN_S / ROW_S)
    for trace in traces:
        if not np.allclose(np.diff(trace.t_s), ROW_S):
            raise TraceError(f"{trace.source}: its rows are not {ROW_S} s apart")
        if trace.rows <= pings:
            raise TraceError(
                f"{trace.source}: {trace.rows} rows; the {PING_RUN_S:g} s of pings are {pings}"
            )
    rows = max(trace.rows for trace in traces)

    def panel(columns: list[FloatArray]) -> FloatArray:
        padded = [np.pad(c, (0, rows - len(c)), constant_values=np.nan) for c in columns]
        return np.stack(padded, axis=1)

    return Panels(
        uplink=panel([trace.uplink_bps for trace in traces]),
        downlink=panel([trace.downlink_bps for trace in traces]),
        rtt=np.stack([trace.rtt_s[:pings] for trace in traces], axis=1),
        ping_loss=np.stack(
            [
                (1.0 - (1.0 - trace.uplink_loss) * (1.0 - trace.downlink_loss))[:pings]
                for trace in traces
            ],
            axis=1,
        ),
    )


def synthetic(
    rng: Generator, config: LinkProcessConfig, like: Panels, sets: int, base_loss: float = 0.0
) -> Panels:
    """Synthetic links of the same lengths: ``sets`` times as many, the same lengths in each set.

    Args:
        base_loss: share of one direction's packets lost outside disturbances.
    """
    rows, lanes = len(like.uplink), like.uplink.shape[1] * sets
    pings = len(like.rtt)
    gap_s = np.full((rows * LOOKS_A_ROW, lanes), ROW_S / LOOKS_A_ROW)
    path = draw_path(rng, config, gap_s)
    fall = config.disturbance_rate_floor**path.severity
    rise = config.disturbance_rtt_peak**path.severity

    def by_row(looks: FloatArray) -> FloatArray:
        return looks.reshape(-1, LOOKS_A_ROW, lanes)

    ended = np.tile(np.isnan(like.uplink), (1, sets))
    one_way = base_loss + config.disturbance_loss * by_row(path.severity)[:pings].mean(axis=1)
    lost = 1.0 - (1.0 - one_way.reshape(-1, WINDOW_ROWS, lanes).mean(axis=1)) ** 2
    counted = np.asarray(rng.binomial(PINGS_A_WINDOW, lost)) / PINGS_A_WINDOW
    return Panels(
        uplink=np.where(ended, np.nan, by_row(path.uplink * fall).mean(axis=1)),
        downlink=np.where(ended, np.nan, by_row(path.downlink * fall).mean(axis=1)),
        rtt=np.median(by_row(path.rtt * rise)[:pings], axis=1),
        ping_loss=np.repeat(counted, WINDOW_ROWS, axis=0),
    )
