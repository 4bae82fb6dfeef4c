"""One run's section of the report: its parts in order, and what it lacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.run_directory import read_json
from evidence.report import attached, environment, policy_tables, prediction_tables, wording
from evidence.report.decisions import Rows, read_decisions
from evidence.report.figures.bars import bars
from evidence.report.figures.latency import latency
from evidence.report.figures.maps import maps
from evidence.report.figures.plate import Plate, drawing
from evidence.report.figures.predictions import predictions
from evidence.report.figures.timeline import timeline
from evidence.report.map_data import MAPS_NAME, read_maps
from evidence.report.prediction_data import (
    AGREEMENT_NAME,
    Summary,
    predict_components,
    read_agreement,
    read_summary,
)
from evidence.report.prediction_data import SUMMARY_NAME as AGREEMENT_SUMMARY_NAME
from evidence.report.run_data import RESULT_NAME, VOID_NAME, Result, read_result
from evidence.report.summaries import scores_table
from evidence.report.table import Table
from offload.errors import ConfigError

SUMMARY_NAMES = ("summary.json", "kpis.json")


@dataclass(frozen=True, slots=True)
class Part:
    """A part with a heading."""

    slug: str
    heading: str
    sentences: tuple[str, ...] = ()
    plates: tuple[Plate, ...] = ()
    tables: tuple[Table, ...] = ()
    images: tuple[attached.Image, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A run.

    Attributes:
        title, subtitle: what it is.
        facts: its few large figures.
        said: what it found, in sentences.
        notes: what a reader must know: substitutes, what was left out.
        parts: figures and tables.
        settings, origin, details: rows of a name and a value.
        limits: what the figures cannot say.
        missing: what this report lacks, with the reason.
    """

    title: str
    subtitle: str
    facts: tuple[wording.Fact, ...] = ()
    said: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    settings: tuple[environment.Row, ...] = ()
    origin: tuple[environment.Row, ...] = ()
    details: tuple[environment.Row, ...] = ()
    limits: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def read_section(folder: Path) -> Section:
    """Read a run's folder and draw its figures.

    Raises:
        ConfigError: it is no folder of a run, or something in it is damaged.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; name the folder of a run")
    with drawing():
        if (folder / RESULT_NAME).exists() or (folder / VOID_NAME).exists():
            return _evaluation(folder, read_result(folder))
        return _other(folder)


@dataclass(slots=True)
class _Parts:
    """Parts as they are found, and what was not."""

    found: list[Part] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def add(self, slug: str, heading: str, **holds: Any) -> None:
        self.found.append(Part(slug, heading, **holds))


def _evaluation(folder: Path, result: Result) -> Section:
    decisions = read_decisions(folder, result)
    parts = _Parts()
    tables = [policy_tables.policies_table(result)]
    if result.hindsight is not None:
        tables.append(policy_tables.hindsight_table(result))
    else:
        parts.missing.append(f"comparison with hindsight: {_why_no_hindsight(result)}")
    parts.add("result", "Result", tables=tuple(tables))
    parts.add("policies", "Accuracy, cost, regret", plates=(bars(result),))
    parts.add("latency", "Latency", plates=(latency(result, decisions.seconds),))
    if result.links:
        parts.add("links", "Link by link", tables=(policy_tables.links_table(result),))
    _add_maps(folder, parts)
    parts.add("timeline", "Link and decisions", plates=(timeline(result, decisions.shown),))
    _add_predictions(folder, result, decisions.shown, parts)
    _add_attached(folder, parts)
    live = f"live over {result.backend}" if result.live else "simulation"
    return Section(
        title="all profiles" if result.profile == "all" else result.profile,
        subtitle=f"{live}, {result.decisions:,} decisions, objective {result.objective}, "
        f"seed {result.seed}",
        facts=tuple(wording.facts(result)),
        said=(*wording.sentences(result), *attached.read_sentences(folder)),
        notes=tuple(result.notes),
        parts=tuple(parts.found),
        settings=tuple(environment.setting_rows(result)),
        origin=tuple(environment.origin_rows(result.origin)),
        details=tuple(environment.detail_rows(result.details)),
        limits=tuple(wording.limits(result)),
        missing=tuple(parts.missing),
    )


def _why_no_hindsight(result: Result) -> str:
    if result.live:
        return "a live run cannot be played again with other decisions"
    return "it was not searched for (--hindsight 0)"


def _add_maps(folder: Path, parts: _Parts) -> None:
    path = folder / MAPS_NAME
    if path.is_file():
        parts.add("maps", "Decision maps", plates=(maps(read_maps(path)),))
    else:
        parts.missing.append(
            f"decision maps: the folder has no {MAPS_NAME}; evaluate.py writes it where a learned "
            "policy (ppo, dqn, a2c) is among those compared"
        )


def _add_predictions(folder: Path, result: Result, shown: tuple[Rows, ...], parts: _Parts) -> None:
    if not result.live:
        parts.missing.append("predicted against measured: nothing is measured in simulation")
        return
    path, summary = folder / AGREEMENT_NAME, folder / AGREEMENT_SUMMARY_NAME
    components = read_agreement(path) if path.is_file() else predict_components(shown[0], result)
    said = read_summary(summary) if summary.is_file() else Summary()
    if not any(component.tasks for component in components):
        parts.missing.append("predicted against measured: no remote run came back")
        return
    parts.add(
        "predictions",
        "Predicted against measured",
        sentences=tuple(f"beyond the goal: {line}" for line in said.missed),
        plates=(predictions(components),),
        tables=(
            prediction_tables.predictions_table(components),
            *([prediction_tables.live_accuracy_table(said.accuracy)] if said.accuracy else []),
        ),
    )


def _add_attached(folder: Path, parts: _Parts) -> None:
    images, tables = attached.read_images(folder), attached.read_tables(folder)
    if images:
        parts.add("figures", "Figures", images=tuple(images))
    if tables:
        parts.add("tables", "Tables", tables=tuple(tables))


def _other(folder: Path) -> Section:
    """A folder that is no comparison of policies: a sweep, a drive, a suite."""
    parts = _Parts()
    said = attached.read_sentences(folder)
    _add_attached(folder, parts)
    paths = [path for name in SUMMARY_NAMES if (path := folder / name).is_file()]
    summary = read_json(paths[0]) if paths else {}
    origin, settings, notes = (summary.get(name) for name in ("origin", "settings", "notes"))
    if not isinstance(settings, dict):
        settings = {k: v for k, v in summary.items() if not isinstance(v, dict | list)}
    policies = summary.get("policies")
    scores = scores_table(policies) if isinstance(policies, dict) else None
    if scores is not None:
        parts.found.insert(0, Part("result", "Result", tables=(scores,)))
    if not (said or parts.found):
        raise ConfigError(
            f"{folder} holds nothing to report: neither {RESULT_NAME}, "
            f"{attached.SENTENCES_NAME}, {attached.FIGURES_NAME}/ nor a known table"
        )
    if not paths:
        parts.missing.append(
            f"settings and environment: the folder has no {' or '.join(SUMMARY_NAMES)}"
        )
    return Section(
        title=folder.resolve().name,
        subtitle="",
        said=tuple(said),
        notes=tuple(map(str, notes)) if isinstance(notes, list) else (),
        parts=tuple(parts.found),
        settings=tuple(environment.detail_rows(settings)),
        origin=tuple(environment.origin_rows(origin)) if isinstance(origin, dict) else (),
        limits=(
            "Energy, where it is named, is modelled, never measured.",
            "Device and link are emulated on one machine; what the link carries is real.",
        ),
        missing=tuple(parts.missing),
    )
