"""Predicted beside measured seconds of a live run, component by component."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evidence.report.decisions import Rows
from evidence.report.run_data import Result
from offload.cost_model import transfer
from offload.errors import ConfigError
from offload.types import FloatArray, LinkState, TaskProfile

AGREEMENT_NAME = "agreement.csv"
_NEEDED = ("task", "component", "predicted_s", "measured_s")


@dataclass(frozen=True, slots=True)
class Component:
    """One component of tasks' seconds.

    Attributes:
        name: upload, queue, compute, ...
        link: the link that was predicted from: as ``measured`` by the device, or as ``set``.
        tasks: kind and size of each.
        predicted_s, measured_s: shape (tasks,).
    """

    name: str
    link: str
    tasks: tuple[str, ...]
    predicted_s: FloatArray
    measured_s: FloatArray

    @property
    def errors(self) -> FloatArray:
        """|predicted - measured| / measured, of those that took any time."""
        some = self.measured_s > 0.0
        return np.abs(self.predicted_s[some] - self.measured_s[some]) / self.measured_s[some]


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
                try:
                    both = float(line["predicted_s"]), float(line["measured_s"])
                except (TypeError, ValueError) as error:
                    raise ConfigError(f"{path}, line {number}: {error}") from None
                if not all(0.0 <= seconds < np.inf for seconds in both):
                    raise ConfigError(f"{path}, line {number}: seconds must be 0 or more")
                key = line["component"], line.get("link") or "measured"
                groups.setdefault(key, []).append((line["task"], *both))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    return tuple(_component(name, link, rows) for (name, link), rows in groups.items())


def _component(name: str, link: str, rows: list[tuple[str, float, float]]) -> Component:
    tasks, predicted, measured = zip(*rows, strict=True)
    return Component(name, link, tasks, np.array(predicted), np.array(measured))


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
        ("local compute", task.local_s, "local_measured_s"),
    ):
        measured = rows.numbers(column)
        back = ~np.isnan(measured)
        found.append(
            Component(
                name,
                "measured",
                tuple(rows.columns["task"][back].tolist()),
                np.asarray(predicted)[back],
                measured[back],
            )
        )
    return tuple(found)
