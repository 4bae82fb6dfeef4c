"""Measured links: lanes replay traces, from a moment of their own, round and round.

Truth: the trace's row at the moment of a decision. A transfer that outlasts the row meets the rows
after it: the rate it gets is the trace's mean over the time in which the link carries its bits.

Estimate: the trace's row at the device's last probe, with the noise of
:class:`envs.config.LinkProcessConfig`, as for synthetic links.

A trace knows a round-trip time in each row, and no jitter. A device that probes sees the rows
change, so the jitter is the standard deviation of the RTT over the rows of a few seconds around.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.random import Generator

from envs.config import LinkProcessConfig
from envs.link_process import LinkSamples, measure
from envs.probe_times import ProbeTimes
from offload.cost_model import transfer
from offload.energy_model import RADIO_NAMES
from offload.link_model import MIN_RATE_BPS
from offload.link_trace import LinkTrace, load_trace_files
from offload.types import FloatArray, IntArray, LinkState, TaskProfile, Transfer

JITTER_WINDOW_S = 5.0
"""Rows that start within half of this on either side count for a row's jitter."""

_LEAST_S = 1e-9


@dataclass(frozen=True, slots=True)
class _Carried:
    """What one direction carries: all traces' rows behind one another, shape (rows,).

    Attributes:
        rate_bps: rate of each row, never 0, so that bits rise with time.
        before_bits: bits carried from the trace's start until the row.
        flat_bits: the same counted on through the traces before, so that all rows rise.
        offset_bits: what the traces before carry, shape (traces,).
        total_bits: what one pass of the trace carries, shape (traces,).
    """

    rate_bps: FloatArray
    before_bits: FloatArray
    flat_bits: FloatArray
    offset_bits: FloatArray
    total_bits: FloatArray


class TraceBank:
    """Traces as columns, for many lanes to look into at once.

    Args:
        traces: at least one.

    Attributes:
        names: of the traces.
        end_s: their lengths, shape (traces,).
        radio: index into RADIO_NAMES, shape (traces,).
    """

    def __init__(self, traces: Sequence[LinkTrace]) -> None:
        self.names = tuple(trace.name for trace in traces)
        self.end_s = np.array([trace.end_s for trace in traces])
        self.radio = np.array([RADIO_NAMES.index(trace.radio) for trace in traces])
        rows = np.array([trace.rows for trace in traces])
        self._last = np.cumsum(rows) - 1
        self._first = self._last - rows + 1
        self._offset_s = np.concatenate([[0.0], np.cumsum(self.end_s)[:-1]])
        self._t_s = np.concatenate([trace.t_s for trace in traces])
        self._until_s = np.concatenate([np.append(trace.t_s[1:], trace.end_s) for trace in traces])
        self._flat_s = np.repeat(self._offset_s, rows) + self._t_s
        self._rtt_s = np.concatenate([trace.rtt_s for trace in traces])
        self._jitter_s = np.concatenate([_jitter_s(trace) for trace in traces])
        self._loss = np.concatenate(
            [(trace.uplink_loss + trace.downlink_loss) / 2 for trace in traces]
        )
        self._up = _carried([(trace, trace.uplink_bps) for trace in traces])
        self._down = _carried([(trace, trace.downlink_bps) for trace in traces])

    def states(self, trace: IntArray, t_s: FloatArray) -> LinkState:
        """The links at some times.

        Args:
            trace: index of each lane's trace, shape (lanes,).
            t_s: times in the traces, shape (steps, lanes); past a trace's end it starts over.
        """
        row = self._row(trace, t_s % self.end_s[trace])
        return LinkState(
            rtt_s=self._rtt_s[row],
            jitter_s=self._jitter_s[row],
            loss=self._loss[row],
            uplink_bps=self._up.rate_bps[row],
            downlink_bps=self._down.rate_bps[row],
            age_s=np.zeros_like(t_s),
        )

    def carry_uplink_s(self, trace: IntArray, t_s: FloatArray, n_bytes: FloatArray) -> FloatArray:
        """Seconds in which the uplink carries so many bytes from ``t_s`` on, nothing else on it.

        Args:
            trace, t_s: as for :meth:`states`.
            n_bytes: shape (steps, lanes).
        """
        return self._carry_s(self._up, trace, t_s, n_bytes)

    def carry_downlink_s(self, trace: IntArray, t_s: FloatArray, n_bytes: FloatArray) -> FloatArray:
        """The same of the downlink."""
        return self._carry_s(self._down, trace, t_s, n_bytes)

    def _row(self, trace: IntArray, inside_s: FloatArray) -> IntArray:
        """Row of all traces' that holds at a time within each lane's trace."""
        row = np.searchsorted(self._flat_s, self._offset_s[trace] + inside_s, side="right") - 1
        # A time within rounding of the trace's end must not fall into the next trace.
        return np.clip(row, self._first[trace], self._last[trace])

    def _carry_s(
        self, way: _Carried, trace: IntArray, t_s: FloatArray, n_bytes: FloatArray
    ) -> FloatArray:
        inside_s = t_s % self.end_s[trace]
        row = self._row(trace, inside_s)
        n_bits = 8.0 * n_bytes
        carried_s: FloatArray = np.maximum(n_bits / way.rate_bps[row], _LEAST_S)
        # Most transfers end within the row they start in; only the others are looked up.
        later = np.nonzero(inside_s + carried_s > self._until_s[row])
        row, inside_s = row[later], inside_s[later]
        lane_trace = trace[later[-1]]
        total_bits = way.total_bits[lane_trace]
        sent_bits = way.before_bits[row] + way.rate_bps[row] * (inside_s - self._t_s[row])
        passes, rest = np.divmod(sent_bits + n_bits[later], total_bits)
        last = np.searchsorted(way.flat_bits, way.offset_bits[lane_trace] + rest, side="right") - 1
        last = np.clip(last, self._first[lane_trace], self._last[lane_trace])
        end_s = self._t_s[last] + (rest - way.before_bits[last]) / way.rate_bps[last]
        carried_s[later] = passes * self.end_s[lane_trace] + end_s - inside_s
        return carried_s


def _carried(columns: Sequence[tuple[LinkTrace, FloatArray]]) -> _Carried:
    rates, befores, totals = [], [], []
    for trace, column in columns:
        rate_bps = np.maximum(column, MIN_RATE_BPS)
        ends = np.cumsum(rate_bps * np.diff(trace.t_s, append=trace.end_s))
        rates.append(rate_bps)
        befores.append(np.concatenate([[0.0], ends[:-1]]))
        totals.append(ends[-1])
    offsets = np.concatenate([[0.0], np.cumsum(totals)[:-1]])
    return _Carried(
        rate_bps=np.concatenate(rates),
        before_bits=np.concatenate(befores),
        flat_bits=np.concatenate(
            [offset + before for offset, before in zip(offsets, befores, strict=True)]
        ),
        offset_bits=offsets,
        total_bits=np.array(totals),
    )


def _jitter_s(trace: LinkTrace) -> FloatArray:
    """Standard deviation of the RTT over the rows of JITTER_WINDOW_S around each, shape (rows,)."""
    low = np.searchsorted(trace.t_s, trace.t_s - JITTER_WINDOW_S / 2, side="left")
    high = np.searchsorted(trace.t_s, trace.t_s + JITTER_WINDOW_S / 2, side="right")
    centred = trace.rtt_s - trace.rtt_s.mean()
    sums = np.concatenate([[0.0], np.cumsum(centred)])
    squares = np.concatenate([[0.0], np.cumsum(centred**2)])
    mean = (sums[high] - sums[low]) / (high - low)
    variance = (squares[high] - squares[low]) / (high - low) - mean**2
    return np.sqrt(np.maximum(variance, 0.0))


@lru_cache(maxsize=8)
def load_bank(paths: tuple[str, ...], base: str) -> TraceBank:
    """The traces of these files, read once.

    Raises:
        TraceError: a file that is missing or damaged.
    """
    return TraceBank(load_trace_files(paths, base=base))


@dataclass(frozen=True, slots=True)
class Replay:
    """Which trace each lane replays, and where in it the decisions lie.

    Attributes:
        bank: the traces.
        trace: index into them, shape (lanes,).
        t_s: time of each decision since the trace's start, shape (steps, lanes).
    """

    bank: TraceBank
    trace: IntArray
    t_s: FloatArray


def draw_replay(
    rng: Generator, config: LinkProcessConfig, bank: TraceBank, probes: ProbeTimes
) -> tuple[LinkSamples, Replay]:
    """Draw a block of lanes, spread evenly over the traces, each from a moment of its own.

    Args:
        probes: when the device decides, and when it measured.
    """
    traces, lanes = len(bank.names), probes.gap_s.shape[1]
    rounds = -(-lanes // traces)
    trace = np.concatenate([rng.permutation(traces) for _ in range(rounds)])[:lanes]
    t_s = rng.uniform(0.0, bank.end_s[trace]) + np.cumsum(probes.gap_s, axis=0)
    at_probes = bank.states(trace, t_s[0::2])
    decided_s = t_s[1::2]
    links = LinkSamples(
        true=bank.states(trace, decided_s),
        measured=measure(rng, config, at_probes, probes),
        profile=trace,
        radio=bank.radio[trace],
    )
    return links, Replay(bank, trace, decided_s)


def replayed_transfer(
    replay: Replay,
    link: LinkState,
    task: TaskProfile,
    edge_queue_s: FloatArray,
    congestion_control: str,
) -> Transfer:
    """Both transfers of a remote run over links that change meanwhile.

    The upload starts at the decision. The download starts when the link has carried the upload and
    the edge has queued and run the task; a round trip more or less is not told apart.

    Args:
        link: the links at the decisions, for RTT and loss.
        task, edge_queue_s: what the run really takes.
    """
    bank, trace, t_s = replay.bank, replay.trace, replay.t_s
    up_s = bank.carry_uplink_s(trace, t_s, task.input_bytes)
    back_s = t_s + up_s + edge_queue_s + task.edge_s
    down_s = bank.carry_downlink_s(trace, back_s, task.output_bytes)
    means = replace(
        link,
        uplink_bps=8.0 * task.input_bytes / up_s,
        downlink_bps=8.0 * task.output_bytes / down_s,
    )
    return transfer(means, task, congestion_control)
