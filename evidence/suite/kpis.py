"""The key figures of one link, computed from what was measured on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.random import Generator

from agents.scores import RESAMPLES, Interval
from agents.simulation import Evaluation
from evidence.suite.competition import Competition
from evidence.suite.plan import Cell
from offload.types import FloatArray, LinkState, PairedRun

MEASURED, MODELLED, SET = "measured", "modelled", "set"
BOTH = "seconds measured; energy modelled"


@dataclass(frozen=True, slots=True)
class Kpi:
    """One figure.

    Attributes:
        link: the cell's name.
        kpi: what it is of.
        policy: whose; empty where it is the link's.
        value: the figure, in ``unit``.
        low, high: its 95 % bootstrap interval; None where it has none.
        n: how many values it is made of.
        unit: s, bit/s, J, or 1.
        kind: :data:`MEASURED`, :data:`MODELLED`, :data:`BOTH` or :data:`SET`.
    """

    link: str
    kpi: str
    policy: str
    value: float
    low: float | None
    high: float | None
    n: int
    unit: str
    kind: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON and CSV."""
        return asdict(self)


class _Sheet:
    """Collects the figures of one link."""

    def __init__(self, link: str, rng: Generator) -> None:
        self.rows: list[Kpi] = []
        self._link = link
        self._rng = rng

    def set_to(self, kpi: str, value: float, unit: str) -> None:
        """What the link was told."""
        self.rows.append(Kpi(self._link, kpi, "", value, None, None, 1, unit, SET))

    def of(
        self,
        kpi: str,
        statistic: Callable[..., Any],
        *columns: Sequence[float] | FloatArray,
        unit: str,
        kind: str = MEASURED,
    ) -> None:
        """A statistic of columns of equal length, whose rows are resampled together."""
        found = resampled(statistic, columns, self._rng)
        n = len(columns[0])
        self.rows.append(
            Kpi(self._link, kpi, "", found.value, found.low, found.high, n, unit, kind)
        )

    def policy(
        self, kpi: str, name: str, value: Interval | float, n: int, unit: str, kind: str
    ) -> None:
        """A policy's figure, as it was scored."""
        if isinstance(value, Interval):
            row = Kpi(self._link, kpi, name, value.value, value.low, value.high, n, unit, kind)
        else:
            row = Kpi(self._link, kpi, name, value, None, None, n, unit, kind)
        self.rows.append(row)


def resampled(
    statistic: Callable[..., Any], columns: Sequence[Sequence[float] | FloatArray], rng: Generator
) -> Interval:
    """A statistic with its 95 % percentile bootstrap interval.

    Args:
        statistic: takes the columns, shape (..., n), and ``axis=-1``.
        columns: each of shape (n,).
    """
    arrays = [np.asarray(column, dtype=float) for column in columns]
    drawn = rng.integers(len(arrays[0]), size=(RESAMPLES, len(arrays[0])))
    values = statistic(*(array[drawn] for array in arrays), axis=-1)
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(float(statistic(*arrays, axis=-1)), float(low), float(high))


def ratio_of_means(above: FloatArray, below: FloatArray, axis: int) -> Any:
    """Mean over mean."""
    return above.mean(axis=axis) / below.mean(axis=axis)


def offloaded_s(pair: PairedRun) -> float:
    """Seconds that choosing the edge came to; given up, its budget and then the local run."""
    if pair.edge is None:
        return pair.budget_s + float(pair.local.seconds)
    return float(pair.edge.seconds)


def kpis_of(
    cell: Cell,
    pairs: Sequence[PairedRun],
    evaluation: Evaluation,
    competition: Competition | None,
    rng: Generator,
) -> list[Kpi]:
    """Every key figure of one link.

    Args:
        pairs: the tasks, each run on both sides.
        evaluation: the policies, scored on them; ``always-local`` and ``always-edge`` among them.
        competition: None where no competing flow was measured.
        rng: draws the bootstrap's resamples.
    """
    sheet = _Sheet(cell.name, rng)
    _link_kpis(sheet, cell, pairs)
    local_s = [float(pair.local.seconds) for pair in pairs]
    edge_s = [offloaded_s(pair) for pair in pairs]
    sheet.of("latency_local", np.median, local_s, unit="s")
    sheet.of("latency_offloaded", np.median, edge_s, unit="s")
    sheet.of("faster_offloaded", np.mean, np.less(edge_s, local_s).astype(float), unit="1")
    given_up = [float(pair.edge is None) for pair in pairs]
    sheet.of("given_up", np.mean, given_up, unit="1")
    for kpi, name in (("energy_local", "always-local"), ("energy_offloaded", "always-edge")):
        joules = evaluation.rollouts[name].energy_j.ravel()
        sheet.of(kpi, np.mean, joules, unit="J", kind=MODELLED)
    _policy_kpis(sheet, evaluation)
    if competition is not None:
        _competition_kpis(sheet, competition)
    return sheet.rows


def _link_kpis(sheet: _Sheet, cell: Cell, pairs: Sequence[PairedRun]) -> None:
    up, down = cell.profile.uplink, cell.profile.downlink
    if cell.trace is None:
        sheet.set_to("rtt_set", up.delay_s + down.delay_s, "s")
        for kpi, rate_bps in (("uplink_set", up.rate_bps), ("downlink_set", down.rate_bps)):
            if rate_bps is not None:
                sheet.set_to(kpi, rate_bps, "bit/s")
    probes = _distinct_probes(pairs)
    for kpi, name, unit in (
        ("rtt_probed", "rtt_s", "s"),
        ("uplink_probed", "uplink_bps", "bit/s"),
        ("downlink_probed", "downlink_bps", "bit/s"),
    ):
        sheet.of(kpi, np.median, [float(getattr(probe, name)) for probe in probes], unit=unit)


def _distinct_probes(pairs: Sequence[PairedRun]) -> list[LinkState]:
    """Each estimate once: tasks that follow each other soon share one, and differ in its age."""
    return list({replace(pair.link, age_s=0.0): None for pair in pairs})


def _policy_kpis(sheet: _Sheet, evaluation: Evaluation) -> None:
    n = evaluation.decisions
    for name, score in evaluation.scores.items():
        sheet.policy("accuracy", name, score.accuracy, n, "1", BOTH)
        sheet.policy("cost", name, score.cost, n, "1", BOTH)
        sheet.policy("regret", name, score.regret_maui_true, n, "1", BOTH)
        sheet.policy("latency_p50", name, score.latency_p50_s, n, "s", MEASURED)
        sheet.policy("latency_p95", name, score.latency_p95_s, n, "s", MEASURED)
        sheet.policy("deadline_misses", name, score.deadline_misses, n, "1", MEASURED)
        sheet.policy("offloaded", name, score.offloaded, n, "1", MEASURED)
        sheet.policy("energy", name, score.energy_j, n, "J", MODELLED)


def _competition_kpis(sheet: _Sheet, found: Competition) -> None:
    alone, shared = found.flow_alone_bps, found.flow_shared_bps
    sheet.of("flow_alone", np.mean, alone, unit="bit/s")
    sheet.of("flow_with_offloading", np.mean, shared, unit="bit/s")
    sheet.of("flow_left", ratio_of_means, np.array(shared), np.array(alone), unit="1")
    sheet.of("offload_alone", np.median, found.offload_alone_s, unit="s")
    sheet.of("offload_with_flow", np.median, found.offload_shared_s, unit="s")
