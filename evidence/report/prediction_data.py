"""Predicted beside measured seconds of a live run, component by component."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from agents.run_directory import read_json
from evidence.report.decisions import Rows
from evidence.report.run_data import Interval, Result
from offload.cost_model import transfer
from offload.errors import ConfigError
from offload.types import FloatArray, LinkState, TaskProfile

AGREEMENT_NAME = "agreement.csv"
SUMMARY_NAME = "agreement.json"
_BASES = ("set/own", "set/table", "measured/own", "measured/table")
_NAMES = ("upload", "queue", "compute", "download", "total", "local")
_NEEDED = ("task", "component", "predicted_s", "measured_s")


class LiveAccuracy(msgspec.Struct, frozen=True):
    """A policy's accuracy in a live run and in simulation, as shares; gap: the difference."""

    live: float
    simulated: float
    gap: Interval


class Summary(msgspec.Struct, frozen=True):
    """What the report takes from agreement.json."""

    accuracy: dict[str, LiveAccuracy] = {}
    missed: list[str] = []


@dataclass(frozen=True, slots=True)
class Component:
    """One component of tasks' seconds.

    Attributes:
        name: upload, queue, compute, ...
        basis: what was predicted from: the link, as ``set`` or as ``measured`` by the device, and
            how hard the task was taken to be, as the ``table`` says of its kind and size, or as
            this very one proved on the device (``own``): ``set/own``.
        tasks: kind and size of each.
        predicted_s, measured_s: shape (tasks,).
    """

    name: str
    basis: str
    tasks: tuple[str, ...]
    predicted_s: FloatArray
    measured_s: FloatArray

    @property
    def errors(self) -> FloatArray:
        """|predicted - measured| / measured, of those that took any time."""
        some = self.measured_s > 0.0
        return np.abs(self.predicted_s[some] - self.measured_s[some]) / self.measured_s[some]


def read_summary(path: Path) -> Summary:
    """Read ``agreement.json``.

    Raises:
        ConfigError: it is missing, or not as ``evidence.agreement`` writes it.
    """
    try:
        return msgspec.convert(read_json(path), Summary)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from error


def read_agreement(path: Path) -> tuple[Component, ...]:
    """Read the pairs of ``agreement.csv``.

    Raises:
        ConfigError: a column is missing, or a number is none or negative.
    """
    groups: dict[tuple[str, str], list[tuple[str, float, float]]] = {}
    try:
        with path.open(newline="") as file:
            lines = csv.DictReader(file)
            missing = [name for name in _NEEDED if name not in (lines.fieldnames or ())]
            if missing:
                raise ConfigError(f"{path} lacks the columns {', '.join(missing)}")
            for number, line in enumerate(lines, start=2):
                if line.get("given_up") == "1":
                    continue
                try:
                    both = float(line["predicted_s"]), float(line["measured_s"])
                except (TypeError, ValueError) as error:
                    raise ConfigError(f"{path}, line {number}: {error}") from None
                basis = f"{line.get('link') or 'measured'}/{line.get('hard') or 'table'}"
                if basis not in _BASES:
                    raise ConfigError(f"{path}, line {number}: link or hard is unknown: {basis}")
                if not all(0.0 <= seconds < np.inf for seconds in both):
                    raise ConfigError(f"{path}, line {number}: seconds must be 0 or more")
                key = line["component"], basis
                groups.setdefault(key, []).append((line["task"], *both))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    return tuple(_component(name, basis, rows) for (name, basis), rows in groups.items())


def shown(components: Sequence[Component]) -> list[Component]:
    """Of each component the one whose prediction knew most."""
    best: dict[str, Component] = {}
    for each in components:
        held = best.setdefault(each.name, each)
        if _BASES.index(each.basis) < _BASES.index(held.basis):
            best[each.name] = each
    return sorted(best.values(), key=lambda each: _place(each.name))


def _place(name: str) -> int:
    return _NAMES.index(name) if name in _NAMES else len(_NAMES)


def _component(name: str, basis: str, rows: list[tuple[str, float, float]]) -> Component:
    tasks, predicted, measured = zip(*rows, strict=True)
    return Component(name, basis, tasks, np.array(predicted), np.array(measured))


def predict_components(rows: Rows, result: Result) -> tuple[Component, ...]:
    """What the device's model said of each pair of a live run, from the link as it had measured it.

    Remote runs that were given up have no measured seconds, and are left out.
    """
    link = LinkState(
        **{
            name: rows.numbers(name)
            for name in ("rtt_s", "jitter_s", "loss", "uplink_bps", "downlink_bps", "age_s")
        }
    )
    task = TaskProfile(
        **{
            name: rows.numbers(f"predicted_{name}")
            for name in ("local_s", "edge_s", "input_bytes", "output_bytes", "deadline_s")
        }
    )
    control = result.details.get("congestion_control", "cubic")
    moved = transfer(link, task, control)
    found = []
    for name, predicted, column in (
        ("upload", moved.upload_s, "edge_measured_upload_s"),
        ("queue", rows.numbers("edge_queue_seen_s"), "edge_measured_queue_s"),
        ("compute", task.edge_s, "edge_measured_compute_s"),
        ("download", moved.download_s, "edge_measured_download_s"),
        ("local", task.local_s, "local_measured_s"),
    ):
        measured = rows.numbers(column)
        back = ~np.isnan(measured)
        found.append(
            Component(
                name,
                "measured/table",
                tuple(rows.columns["task"][back].tolist()),
                np.asarray(predicted)[back],
                measured[back],
            )
        )
    return tuple(found)
