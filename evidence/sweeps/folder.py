"""What a sweep leaves in its folder: tables, sentences, figures."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.run_directory import origin, write_json
from evidence.sweeps.outcome import Curve, evaluate_sweep, place, wrong_answers
from evidence.sweeps.record import BlockEnd, Loaded, Record, Session
from evidence.sweeps.settings import REPEATS, Settings
from evidence.sweeps.swept import SWEPT, Swept
from evidence.sweeps.wording import sentence
from offload.tasks.profile_table import ProfileTable

SETTINGS = "settings.json"
CROSSOVERS = "crossovers.csv"
CURVES = "curves.csv"
SENTENCES = "sentences.txt"
SUMMARY = "summary.json"
FIGURES = "figures"


def write_folder(
    folder: Path, settings: Settings, table: ProfileTable, record: Record, notes: Sequence[str]
) -> list[str]:
    """Write all but the figures; returns the sentences, one a curve.

    Args:
        notes: what was left out, for the summary.
    """
    from evidence.sweeps.plot import plot_sweep

    curves = evaluate_sweep(settings, table, record)
    sentences = [sentence(settings, curve) for curve in curves]
    rows = [_row(settings, curve) for curve in curves]
    _write_csv(folder / CROSSOVERS, rows)
    _write_csv(folder / CURVES, [row for curve in curves for row in _points(settings, curve)])
    (folder / SENTENCES).write_text("".join(f"{text}.\n" for text in sentences))
    write_json(folder / SUMMARY, _summary(settings, record, rows, sentences, notes))
    plot_sweep(settings, curves, folder / FIGURES)
    return sentences


def notes_on(settings: Settings, record: Record) -> list[str]:
    """What a reader must know besides the sentences."""
    notes = []
    if settings.repeats == 1:
        notes.append(f"one repetition: no interval; {REPEATS} are needed for one of 95 %")
    elif settings.repeats < REPEATS:
        covered = 1.0 - 2.0 ** (1 - settings.repeats)
        notes.append(
            f"{settings.repeats} repetitions: without assumptions an interval of a median holds it"
            f" in at most {covered:.0%} of cases; {REPEATS} are needed for 95 %"
        )
    ends = [line for line in record.lines if isinstance(line, BlockEnd)]
    void = sum(bool(end.faults) for end in ends)
    if void:
        notes.append(f"void since the machine was busy, and run again: {void} repetitions")
    wrong = wrong_answers(settings, record)
    if wrong:
        notes.append(f"{len(wrong)} answers were wrong: {', '.join(wrong)}")
    sessions = [line for line in record.lines if isinstance(line, Session)]
    if len(sessions) > len(settings.controls):
        notes.append(f"measured in {len(sessions)} sessions")
    notes += dict.fromkeys(text for session in sessions for text in session.limits)
    notes += _loads(settings, record)
    return notes


def _loads(settings: Settings, record: Record) -> list[str]:
    """How busy the edge's other users kept it, for each point of a sweep of that."""
    notes = []
    for index, asked in enumerate(settings.points):
        visits = [v.offered for v in record.lines if isinstance(v, Loaded) and v.point == index]
        elapsed_s = sum(visit.elapsed_s for visit in visits)
        if elapsed_s > 0.0:
            busy = sum(visit.busy_s for visit in visits) / elapsed_s
            dropped = sum(visit.dropped + visit.refused for visit in visits)
            notes.append(
                f"load {asked:.0%} asked for: the work that other users brought, those included"
                f" that waited at the start, was {busy:.0%} of a worker's time; {dropped} of their"
                " tasks were dropped or refused"
            )
    return notes


def _row(settings: Settings, curve: Curve) -> dict[str, Any]:
    """A line of crossovers.csv."""
    swept = SWEPT[settings.sweep]
    found = curve.measured
    known = [p for p, is_known in zip(settings.points, curve.known, strict=True) if is_known]
    return {
        "sweep": settings.sweep,
        "unit": swept.unit,
        "task": curve.task,
        "congestion_control": curve.control,
        "criterion": curve.criterion,
        "better": "unknown" if found is None else place(swept, settings, found.position),
        "crossover": "" if found is None else _number(swept, found.position),
        "low": "" if found is None else _number(swept, found.low),
        "high": "" if found is None else _number(swept, found.high),
        "model_better": place(swept, settings, curve.model_position),
        "model_crossover": _number(swept, curve.model_position),
        "range_low": _shown(swept, known[0]) if known else "",
        "range_high": _shown(swept, known[-1]) if known else "",
        "repeats": settings.repeats,
        "given_up": int(curve.given_up.sum()),
        "unknown": curve.unknown,
        "profile": settings.profile,
    }


def _number(swept: Swept, position: float) -> str:
    """A place on the scale in the unit shown; -inf and inf: outside of the points."""
    return _shown(swept, swept.value(position)) if not math.isnan(position) else ""


def _shown(swept: Swept, value: float) -> str:
    return f"{value / swept.per_unit:.6g}"


def _points(settings: Settings, curve: Curve) -> list[dict[str, Any]]:
    """Lines of curves.csv: a point each."""
    swept = SWEPT[settings.sweep]
    positions = swept.position(np.array(settings.points))
    model = np.interp(positions, swept.position(curve.model_values), curve.model_ratios)
    medians = np.full(len(positions), np.nan)
    medians[curve.known] = np.nanmedian(curve.ratios[:, curve.known], axis=0)
    return [
        {
            "task": curve.task,
            "congestion_control": curve.control,
            "criterion": curve.criterion,
            "value": _shown(swept, value),
            "unit": swept.unit,
            "runs": int((~np.isnan(curve.ratios[:, index])).sum()),
            "given_up": int(curve.given_up[index]),
            "edge_over_device_median": _ratio(medians[index]),
            "edge_over_device_model": _ratio(model[index]),
        }
        for index, value in enumerate(settings.points)
    ]


def _ratio(logarithm: float) -> str:
    return "" if np.isnan(logarithm) else f"{np.exp(logarithm):.5g}"


def _write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _summary(
    settings: Settings,
    record: Record,
    rows: Sequence[dict[str, Any]],
    sentences: Sequence[str],
    notes: Sequence[str],
) -> dict[str, Any]:
    sessions = [line for line in record.lines if isinstance(line, Session)]
    ends = [line for line in record.lines if isinstance(line, BlockEnd)]
    return {
        "settings": settings.as_dict(),
        "crossovers": list(rows),
        "sentences": list(sentences),
        "notes": list(notes),
        "sessions": [
            {
                "congestion_control": session.control,
                "backend": session.backend,
                "backend_reason": session.reason,
                "device_cpu_limit": list(session.limit),
                "calibration": {
                    "device": session.calibration[0],
                    "edge": session.calibration[1],
                },
                "load_service_s": session.service_s,
                "baseline": session.baseline,
                "origin": session.origin,
            }
            for session in sessions
        ],
        "baselines_after": [
            {"block": end.block, "attempt": end.attempt, "void": bool(end.faults), **end.baseline}
            for end in ends
        ],
        "origin": origin(),
    }
