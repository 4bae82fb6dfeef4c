"""What an evaluation shows and writes: the table, result.json, the summary, the decisions."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from agents.comparison import MEASURED, Optimum
from agents.plain_table import plain_table
from agents.scores import Interval
from agents.simulation import Evaluation
from offload.types import FloatArray

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Setting:
    """What an evaluation was made under.

    Attributes:
        profile: network profile, ``all``, or the traces' file or folder.
        mode: ``live`` or ``sim``.
        backend: network backend of a live run; None in simulation.
        objective: what was minimised.
        seed: of the test scenarios.
        sources: where each learned policy came from.
        notes: what a reader must know: substitutes, policies left out.
        details: anything more, for result.json.
    """

    profile: str
    mode: str
    backend: str | None
    objective: str
    seed: int
    sources: dict[str, str]
    notes: tuple[str, ...]
    details: dict[str, Any]


def summary(evaluation: Evaluation, setting: Setting) -> dict[str, Any]:
    """The summary that ``--json`` writes; docs/results.md documents it."""
    return {
        "schema": SCHEMA,
        "profile": setting.profile,
        "mode": setting.mode,
        "backend": setting.backend,
        "objective": setting.objective,
        "decisions": evaluation.decisions,
        "seed": setting.seed,
        "notes": list(setting.notes),
        "policies": {
            name: {**score.as_dict(), **evaluation.comparisons[name].as_dict()}
            for name, score in evaluation.scores.items()
        },
        "hindsight": None if evaluation.optimum is None else evaluation.optimum.as_dict(),
        "seeds": {
            name: {part: score.as_dict() for part, score in scores.items()}
            for name, scores in evaluation.seeds.items()
        },
        "links": {
            link: {name: score.as_dict() for name, score in scores.items()}
            for link, scores in evaluation.links.items()
        },
    }


def result(evaluation: Evaluation, setting: Setting, origin: dict[str, Any]) -> dict[str, Any]:
    """The whole of result.json: the summary, and what it takes to judge and repeat it."""
    return {
        **summary(evaluation, setting),
        "learned_policies_from": setting.sources,
        "energy": "modelled",
        "latency": "measured" if setting.mode == "live" else "modelled",
        "details": setting.details,
        "origin": origin,
    }


def print_table(evaluation: Evaluation, setting: Setting, console: Console) -> None:
    """Print the policies' table with what one must know to read it."""
    measured = "measured" if setting.mode == "live" else "simulated"
    how = f"live over {setting.backend}" if setting.mode == "live" else "simulation"
    table = plain_table(
        f"{setting.profile}: {evaluation.decisions:,} decisions, {how}, "
        f"objective {setting.objective}, seed {setting.seed}",
        "Accuracy: agreement with the MAUI optimum on the true state (ties: costs within 2 % "
        "count as right). Cost: 1 is all-local. Brackets: 95 % bootstrap interval. "
        f"Latency {measured}, energy modelled. * one answer for everything.",
        "policy",
        "accuracy %", "ties %", "cost", "regret", "p50 s", "p95 s", "energy J", "edge %", "late %",
    )  # fmt: skip
    for name, score in evaluation.scores.items():
        table.add_row(
            name + (" *" if score.collapsed else ""),
            _percent(score.accuracy),
            f"{100 * score.accuracy_ties.value:.1f}",
            f"{score.cost.value:.3f}",
            f"{score.regret_maui_true.value:+.3f}",
            f"{score.latency_p50_s:.3f}",
            f"{score.latency_p95_s:.3f}",
            f"{score.energy_j:.2f}",
            f"{100 * score.offloaded:.0f}",
            f"{100 * score.deadline_misses:.1f}",
        )
    console.print(table)
    if evaluation.optimum is not None:
        _print_comparison(evaluation, evaluation.optimum, console)
    for name, scores in evaluation.seeds.items():
        each = ", ".join(
            f"{_percent(score.accuracy).split()[0]} % at {score.cost.value:.4f}"
            for score in scores.values()
        )
        console.print(
            f"{name}: mean of {len(scores)} seeds, which its intervals resample too; accuracy and "
            f"cost of each: {each}",
            highlight=False,
        )
    for name, source in setting.sources.items():
        console.print(f"{name}: {source}", highlight=False)
    for note in setting.notes:
        console.print(f"note: {note}", highlight=False)


def _print_comparison(evaluation: Evaluation, optimum: Optimum, console: Console) -> None:
    """Print the second table: against the optimum in hindsight, and against maui-measured."""
    table = plain_table(
        str(optimum),
        "IQM: interquartile mean over scenarios. Regret: mean cost above maui-true's and above "
        "a bound that no plan can beat. Gap closed: of the way from the cheapest static rule "
        "(always-*, thresholds on the link) to that bound. Better: chance to cost less than "
        f"{MEASURED} on a scenario. ±: half the 95 % bootstrap interval.",
        "policy", "cost, IQM", "regret maui-true", "regret hindsight", "gap closed %", "better %",
    )  # fmt: skip
    for name, score in evaluation.scores.items():
        against = evaluation.comparisons[name]
        table.add_row(
            name,
            _spread(score.cost_iqm),
            _spread(score.regret_maui_true),
            _spread(against.regret_hindsight),
            _spread(against.gap_closed, 100.0, 1),
            _spread(against.improvement, 100.0, 1),
        )
    console.print(table)


def _spread(interval: Interval | None, scale: float = 1.0, digits: int = 3) -> str:
    """The value and half of its interval's width: a second table must fit the same page."""
    if interval is None:
        return "-"
    half = (interval.high - interval.low) / 2
    return f"{scale * interval.value:.{digits}f} ±{scale * half:.{digits}f}"


def _percent(interval: Interval) -> str:
    value, low, high = (f"{100 * number:.1f}" for number in interval.as_list())
    return f"{value} [{low}, {high}]"


def write_decisions(
    path: Path, facts: dict[str, Sequence[Any] | FloatArray], evaluation: Evaluation
) -> None:
    """Write one line a decision: the facts all policies share, then each policy's choice and cost.

    Args:
        facts: columns of one value a decision, in the order of scenarios, then steps.
    """
    columns: dict[str, Iterable[Any]] = {name: _rounded(values) for name, values in facts.items()}
    for name, played in evaluation.rollouts.items():
        columns[f"{name}:placement"] = played.placement.T.ravel().tolist()
        columns[f"{name}:optimum"] = played.optimum.T.ravel().tolist()
        for term in ("cost", "seconds", "energy_j"):
            columns[f"{name}:{term}"] = _rounded(getattr(played, term).T.ravel())
    write_columns(path, columns)


def write_columns(path: Path, columns: Mapping[str, Iterable[Any]]) -> None:
    """Write columns of equal length as CSV, their names first."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def _rounded(values: Sequence[Any] | FloatArray) -> list[Any]:
    array = np.asarray(values)
    if array.dtype.kind != "f":
        return list(array.tolist())
    return [f"{value:.6g}" for value in array.tolist()]
