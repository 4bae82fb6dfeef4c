"""Runs the suite link by link, and goes on where it was interrupted."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from tqdm import tqdm

from agents.policies import PolicySet, collect, parse_names
from agents.run_directory import held, make_folder, new_run_folder, origin, read_json, write_json
from evidence.report.page import write_report
from evidence.suite.cell import Conditions, measure_cell
from evidence.suite.kpis import Kpi
from evidence.suite.plan import QUICK, Amount, Cell, cells
from evidence.suite.report import KeyFigures, print_tables, write_kpis
from offload.errors import ConfigError
from offload.tasks.profile_table import load_profile_table
from offload.types import Objective

SETTINGS = "settings.json"
_NEEDED = ("always-local", "always-edge")
_VOID = 3
_CAPTIONS = {
    "links": "Key figures of each link, with 95 % intervals over tasks, remote runs or rounds.",
    "accuracy": "Agreement of each policy with the MAUI optimum on the true state, by link, in %.",
}


@dataclass(frozen=True)
class Settings:
    """What a suite was asked for; a folder is resumed only with the same.

    Attributes:
        links: names of profiles and of links under stress.
        amount: how much is measured on each.
        policies: names of those that are scored.
        runs: where to look for the newest run of learned policies.
    """

    links: tuple[str, ...]
    amount: Amount
    policies: str
    objective: str
    backend: str
    congestion_control: str
    seed: int
    runs: str


def run_suite(settings: Settings, out: Path, resume: Path | None) -> int:
    """Measure every link that is not there yet, and report; returns the exit code.

    Args:
        out: where the folder goes.
        resume: the folder of an interrupted suite.

    Raises:
        ConfigError: the folder holds another suite.
        BackendError, TestbedError: no link can be opened here, or a part failed.
    """
    if settings.seed < 0:
        raise ConfigError(f"--seed is {settings.seed}; it must be 0 or more")
    wanted = cells(settings.links)
    objective = Objective(settings.objective)
    names = tuple(dict.fromkeys([*_NEEDED, *parse_names(settings.policies)]))

    def chosen() -> PolicySet:
        return collect(names, objective, given=(), runs=Path(settings.runs), seed=settings.seed)

    under = Conditions(
        amount=settings.amount,
        objective=objective,
        backend=settings.backend,
        congestion_control=settings.congestion_control,
        seed=settings.seed,
        chosen=chosen,
        table=load_profile_table(),
    )
    folder = _folder(settings, out, resume)
    with held(folder):
        try:
            results = _measure(wanted, under, make_folder(folder / "links"))
        except (KeyboardInterrupt, SystemExit):
            print(f"go on with: python -m evidence.suite --resume {folder}", file=sys.stderr)
            raise
        return _report(folder, settings, under, results)


def saved_settings(folder: Path) -> Settings:
    """The settings of a folder that is to be resumed.

    Raises:
        ConfigError: it holds no suite.
    """
    data = read_json(folder / SETTINGS)
    try:
        amount = Amount(**data["amount"])
        return Settings(**{**data, "links": tuple(data["links"]), "amount": amount})
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{folder / SETTINGS} is none of a benchmark suite: {error}") from error


def _folder(settings: Settings, out: Path, resume: Path | None) -> Path:
    if resume is not None:
        return resume
    folder = new_run_folder(
        make_folder(out), "benchmark-quick" if settings.amount == QUICK else "benchmark"
    )
    write_json(folder / SETTINGS, asdict(settings))
    return folder


def _measure(wanted: tuple[Cell, ...], under: Conditions, kept: Path) -> list[dict[str, Any]]:
    results = []
    with tqdm(total=len(wanted), unit=" links", disable=None) as bar:
        for cell in wanted:
            file = kept / f"{cell.name}.json"
            found = read_json(file) if file.is_file() else None
            if found is None or found["void"]:
                print(f"link {cell.name}", flush=True)
                say = partial(print, flush=True)
                found = measure_cell(cell, under, kept / f"{cell.name}.csv", say)
                write_json(file, found)
            results.append(found)
            bar.update(1)
    return results


def _report(
    folder: Path, settings: Settings, under: Conditions, results: list[dict[str, Any]]
) -> int:
    from evidence.suite.plot import plot_accuracy, plot_links

    chosen = under.chosen()
    rows = [Kpi(**row) for result in results for row in result["kpis"]]
    void = {result["link"]: result["void"] for result in results if result["void"]}
    figures = KeyFigures(rows, [result["link"] for result in results])
    backends = {result["details"]["backend"] for result in results if not result["void"]}
    amount = under.amount
    title = (
        f"benchmark: {amount.tasks} tasks a link up to {amount.max_local_s:g} s on the device, "
        f"live over {', '.join(sorted(backends)) or 'nothing'}, "
        f"objective {settings.objective}, seed {settings.seed}"
    )
    write_kpis(folder, rows)
    write_json(
        folder / "kpis.json",
        {
            "schema": 1,
            "kind": "benchmark",
            "settings": asdict(settings),
            "learned_policies_from": chosen.sources,
            "took_s": sum(result["took_s"] for result in results),
            "links": [{k: v for k, v in result.items() if k != "kpis"} for result in results],
            "kpis": [row.as_dict() for row in rows],
            "origin": origin(),
        },
    )
    if rows:
        print_tables(figures, void, title, Console(width=None if sys.stdout.isatty() else 120))
        drawn = make_folder(folder / "figures")
        for path in (folder / "links.png", drawn / "links.svg"):
            plot_links(figures, title, path)
        for path in (folder / "accuracy.png", drawn / "accuracy.svg"):
            plot_accuracy(figures, path)
        for name, caption in _CAPTIONS.items():
            (drawn / f"{name}.txt").write_text(caption + "\n")
    for name, source in chosen.sources.items():
        print(f"{name}: {source}")
    for note in chosen.notes:
        print(f"note: {note}")
    for link, reason in void.items():
        print(f"note: {link} is void: {reason}")
    took_s = sum(result["took_s"] for result in results)
    print(f"measured in {took_s / 60:.1f} min")
    print(f"results: {folder}")
    if rows:
        print(f"report: {write_report([folder], folder)}")
    return _VOID if void else 0
