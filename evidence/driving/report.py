"""What drives show and write: the table, drive.csv, summary.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from agents.plain_table import plain_table
from agents.report import write_columns
from agents.scores import Interval
from evidence.driving.accounts import Account
from evidence.driving.messages import Arrival, Driven
from evidence.driving.run import Drives, DriveSettings
from evidence.driving.scores import REFERENCE, DriveScore, block_length

CAPTION = (
    "Above: the rates that the link was set to. Below, a policy each: seconds from a task's "
    "arrival to its outcome, at the time of its arrival. Every policy met the same tasks at the "
    "same moments of the same link."
)


def print_table(
    scores: Mapping[str, DriveScore], drives: Drives, title: str, console: Console
) -> None:
    """Print a row a policy, in the order it was asked for."""
    table = plain_table(
        title,
        "Cost: about 1 is a device that runs everything itself. Above: mean cost above "
        f"{REFERENCE}'s of the same tasks. Brackets: 95 % bootstrap interval over blocks of "
        f"{block_length(len(drives.arrivals))} tasks of this one run. Seconds measured from a "
        "task's arrival, energy modelled. Back: sent to the edge, run on the device after all.",
        "policy", "cost", "above", "late %", "p50 s", "p95 s", "energy J", "edge %", "back %",
    )  # fmt: skip
    void = {drive.policy for drive in drives.drives if drive.over is None}
    for name, score in scores.items():
        table.add_row(
            name,
            _interval(score.cost),
            "-" if score.cost_above is None else _interval(score.cost_above, "+"),
            _interval(score.missed, "", 100.0, 0),
            f"{score.latency_p50_s:.3f}",
            f"{score.latency_p95_s:.2f}",
            f"{score.energy_j.value:.2f}",
            f"{100 * score.offloaded:.0f}",
            f"{100 * score.fallbacks:.0f}",
        )
    for name in void:
        table.add_row(name, "void", *["-"] * 7)
    console.print(table)


def _interval(interval: Interval, sign: str = "", scale: float = 1.0, digits: int = 2) -> str:
    value, low, high = (f"{scale * x:{sign}.{digits}f}" for x in interval.as_list())
    return f"{value} [{low}, {high}]"


def write_csv(path: Path, drives: Drives, accounts: Mapping[str, Account]) -> None:
    """Write a line a policy and task, as the engine recorded it and as it was accounted for."""
    columns: dict[str, list[Any]] = {}
    for place, drive in enumerate(drives.drives, 1):
        if drive.over is None:
            continue
        account = accounts[drive.policy]
        for index, task in enumerate(drive.over.tasks):
            row = {
                "policy": drive.policy,
                "drive": place,
                **_row(drives.arrivals[index], task, account, index),
                "correct": int(index not in drive.over.wrong),
            }
            for name, value in row.items():
                shown = f"{value:.6g}" if isinstance(value, float) else value
                columns.setdefault(name, []).append(shown)
    write_columns(path, columns)


def _row(arrival: Arrival, task: Driven, account: Account, index: int) -> dict[str, Any]:
    """What is kept of one task."""
    return {
        "task": f"{arrival.task.kind}/{arrival.task.size}",
        "task_seed": arrival.task.seed,
        "due_s": arrival.due_s,
        **{
            f"predicted_{name}": getattr(arrival.predicted, name)
            for name in ("local_s", "edge_s", "input_bytes", "deadline_s")
        },
        "reference_s": arrival.reference_s,
        **{f"link_{name}": getattr(task.link, name) for name in task.link.__slots__},
        "device_queue_s": task.queue_s,
        "edge_queue_s": task.edge_queue_s,
        "edge_age_s": task.edge_age_s,
        "called_s": task.called_s,
        "decided_s": task.decided_s,
        "done_s": task.done_s,
        "placement": int(task.to_edge),
        "outcome": str(task.outcome),
        **{
            name: getattr(task.cost, name)
            for name in ("upload_s", "queue_s", "compute_s", "download_s")
        },
        "lost_s": task.lost_s,
        "budget_s": task.budget_s,
        "reason": task.reason,
        "seconds": float(account.seconds[index]),
        "energy_j": float(account.energy_j[index]),
        "cost": float(account.cost[index]),
        "missed": int(account.missed[index]),
    }


def summary(
    scores: Mapping[str, DriveScore],
    drives: Drives,
    settings: DriveSettings,
    notes: Sequence[str],
    origin: dict[str, Any],
) -> dict[str, Any]:
    """The whole of summary.json."""
    trace = settings.trace
    return {
        "schema": 1,
        "kind": "drive",
        "link": settings.profile.name,
        "trace": None if trace is None else {"name": trace.name, "length_s": trace.end_s},
        "backend": drives.backend,
        "same_packet_fates": drives.takes_seed,
        "objective": str(settings.objective),
        "congestion_control": settings.congestion_control,
        "seed": settings.seed,
        "tasks": len(drives.arrivals),
        "load": drives.load,
        "lasts_s": drives.arrivals[-1].due_s if drives.arrivals else None,
        "block_tasks": block_length(len(drives.arrivals)) if drives.arrivals else None,
        "energy": "modelled",
        "latency": "measured",
        "policies": {name: score.as_dict() for name, score in scores.items()},
        "drives": [
            {
                "policy": drive.policy,
                "void": drive.void,
                "source": drive.source,
                "probe_bytes": None if drive.over is None else drive.over.probe_bytes,
                "resets": None if drive.over is None else drive.over.resets,
                "baselines": [baseline.as_dict() for baseline in drive.baselines],
                "replay": None if drive.replay is None else asdict(drive.replay),
                "calibration": None if drive.calibration is None else asdict(drive.calibration),
            }
            for drive in drives.drives
        ],
        "notes": list(notes),
        "origin": origin,
    }
