"""From the runs of a sweep to crossovers, measured and predicted."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np

from evidence.sweeps.crossover import Crossover, find_crossover, root
from evidence.sweeps.live import rows_of
from evidence.sweeps.model import costs, link_state, predicted
from evidence.sweeps.record import Record, Run, Session
from evidence.sweeps.settings import Settings
from evidence.sweeps.swept import SWEPT, Swept
from offload.energy_model import get_radio
from offload.link_profiles import get_profile
from offload.tasks.profile_table import ProfileTable
from offload.types import FloatArray, PlacementCost, TaskProfile, Transfer
from testbed.calibration import Calibration

Criterion = Literal["latency", "energy", "energy-awake"]
CRITERIA: tuple[Criterion, ...] = ("latency", "energy", "energy-awake")
"""``energy``: the radio sleeps before the task and falls asleep after it. ``energy-awake``: other
traffic keeps it awake, so the task pays for its own transfers and waiting only."""
_MODEL_POINTS = 241


@dataclass(frozen=True, slots=True)
class Curve:
    """One task under one criterion and one congestion control.

    Attributes:
        task: ``kind/size``.
        ratios: ln(edge / device) of each run, shape (repetitions, points); nan: not known.
        given_up: edge runs that were not back within their budget, at each point.
        unknown: runs given up of which it is not known which side they were better on.
        known: which points have a difference in at least half of the repetitions.
        measured: the crossover over the known points, on the quantity's scale; None: under two.
        model_values: values of the swept quantity, in SI units, of the model's line.
        model_ratios: ln(edge / device) as predicted there.
        model_position: the model's crossover, on the quantity's scale.
    """

    task: str
    control: str
    criterion: Criterion
    ratios: FloatArray
    given_up: FloatArray
    unknown: int
    known: FloatArray
    measured: Crossover | None
    model_values: FloatArray
    model_ratios: FloatArray
    model_position: float


def evaluate_sweep(settings: Settings, table: ProfileTable, record: Record) -> list[Curve]:
    """A curve for each congestion control, task and criterion."""
    return [
        _curve(settings, table, record, control, task, criterion)
        for control in settings.controls
        for task in range(len(settings.tasks))
        for criterion in CRITERIA
    ]


def wrong_answers(settings: Settings, record: Record) -> list[str]:
    """The tasks that were answered wrongly, once for each such run that counts."""
    return [
        run.name
        for control in settings.controls
        for run in record.counted(control)
        if not run.correct
    ]


def _curve(
    settings: Settings,
    table: ProfileTable,
    record: Record,
    control: str,
    task: int,
    criterion: Criterion,
) -> Curve:
    swept = SWEPT[settings.sweep]
    runs = [run for run in record.counted(control) if run.task == task]
    ratios, unknown = _ratios(settings, runs, criterion)
    shape = (settings.repeats, len(settings.points))
    given_up = np.zeros(shape, dtype=bool)
    for run in runs:
        if run.on_edge and run.cost is None:
            given_up[run.block, run.point] = True
    known = np.isnan(ratios).mean(axis=0) <= 0.5
    positions = swept.position(np.array(settings.points))
    measured = None
    if known.sum() >= 2:
        measured = find_crossover(
            positions[known],
            ratios[:, known],
            np.random.default_rng([settings.seed, task, CRITERIA.index(criterion)]),
            rising=swept.against_edge,
        )
    values, model_ratios = _model_line(settings, table, record, control, task, criterion)
    return Curve(
        task=settings.tasks[task],
        control=control,
        criterion=criterion,
        ratios=ratios,
        given_up=given_up.sum(axis=0),
        unknown=unknown,
        known=known,
        measured=measured,
        model_values=values,
        model_ratios=model_ratios,
        model_position=root(swept.position(values), model_ratios, rising=swept.against_edge),
    )


def _ratios(settings: Settings, runs: list[Run], criterion: Criterion) -> tuple[FloatArray, int]:
    """ln(edge / device) of each repetition and point, and how many could not be known.

    The side that ran once a repetition stands at each of its points. A run that was given up took
    at least its budget; where that is not dearer than the device, nothing is known.
    """
    swept = SWEPT[settings.sweep]
    shape = (settings.repeats, len(settings.points))
    device, edge = np.full(shape, np.nan), np.full(shape, np.nan)
    at_least = np.zeros(shape, dtype=bool)
    for run in runs:
        everywhere = run.on_edge == swept.device_only
        where = (run.block, slice(None) if everywhere else run.point)
        (edge if run.on_edge else device)[where] = _spent(settings, run, criterion)
        if run.on_edge:
            at_least[where] = run.cost is None
    ratios = np.log(edge / device)
    unknown = at_least & (ratios <= 0.0)
    ratios[unknown] = np.nan
    return ratios, int(unknown.sum())


def _spent(settings: Settings, run: Run, criterion: Criterion) -> float:
    """Seconds or joules of a run; of one given up, the least that it can have come to."""
    base = get_profile(settings.profile)
    radio = get_radio(base.radio)
    cost = run.cost
    sent, received = float(run.input_bytes), float(run.output_bytes)
    if cost is None:
        queued = settings.sweep == "edge-load"  # else it was the link that took so long
        waited_s, moving_s = (run.budget_s, 0.0) if queued else (0.0, run.budget_s)
        cost = PlacementCost(moving_s, waited_s, 0.0, 0.0, 0.0, 0.0)
        sent = received = 0.0
    if criterion == "latency":
        return float(cost.seconds)
    compute_s = float(cost.compute_s)
    device, edge = costs(
        link_state(base),
        TaskProfile(compute_s, compute_s, sent, received, np.inf),
        radio,
        queue_s=float(cost.queue_s),
        moved=Transfer(cost.upload_s, cost.download_s),
    )
    if not run.on_edge:
        return float(device.energy_j)
    return float(edge.energy_j - (edge.tail_j if criterion == "energy-awake" else 0.0))


def _model_line(
    settings: Settings,
    table: ProfileTable,
    record: Record,
    control: str,
    task: int,
    criterion: Criterion,
) -> tuple[FloatArray, FloatArray]:
    swept = SWEPT[settings.sweep]
    first, last = swept.position(np.array([settings.points[0], settings.points[-1]]))
    line = np.linspace(first, last, _MODEL_POINTS)
    values = np.array([swept.value(float(position)) for position in line])
    calibration, service_s = calibration_of(record, control)
    row = rows_of(settings, table)[task]
    ratios = [
        _predicted_ratio(
            *predicted(settings, row, float(value), calibration, control, service_s), criterion
        )
        for value in values
    ]
    return values, np.array(ratios)


def _predicted_ratio(device: PlacementCost, edge: PlacementCost, criterion: Criterion) -> float:
    if criterion == "latency":
        return float(np.log(edge.seconds / device.seconds))
    tail_j = edge.tail_j if criterion == "energy-awake" else 0.0
    return float(np.log((edge.energy_j - tail_j) / device.energy_j))


def calibration_of(record: Record, control: str) -> tuple[Calibration, float | None]:
    """Median over the sessions of this machine's seconds over the table's, and of a load's task."""
    sessions = [s for s in record.lines if isinstance(s, Session) and s.control == control]
    service = [s.service_s for s in sessions if s.service_s is not None]
    return (
        Calibration(
            median(s.calibration[0] for s in sessions), median(s.calibration[1] for s in sessions)
        ),
        median(service) if service else None,
    )


def place(swept: Swept, settings: Settings, position: float) -> str:
    """``crosses``, or which side is better at every point: ``edge`` or ``device``."""
    if np.isfinite(position):
        return "crosses"
    beyond = position > 0
    return "edge" if beyond == swept.against_edge else "device"
