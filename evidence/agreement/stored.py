"""Live runs as their folders hold them: the pairs, the links as set, what each policy chose."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.run_directory import read_json
from envs.calibration import Calibration, ServerFit, TransferFit, load_calibration
from evidence.agreement.set_links import NAMES, link_of
from offload.energy_model import RADIOS
from offload.errors import ConfigError
from offload.link_model import CONGESTION_CONTROLS
from offload.link_profiles import PROFILES
from offload.types import (
    EdgeState,
    LinkState,
    Objective,
    PairedRun,
    PlacementCost,
    TaskInstance,
    TaskProfile,
)

MAX_PAIRS = 100_000
CALIBRATION_NAME = "calibration.json"
"""In a run's folder: a copy of what it was given with ``--calibration``."""
_PLACEMENT, _OPTIMUM = ":placement", ":optimum"


@dataclass(frozen=True, slots=True)
class Choices:
    """What a policy chose in a live run, and what maui-true would have chosen in its place.

    Both hold 0 (local) or 1 (edge) for each pair.
    """

    placement: tuple[int, ...]
    optimum: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StoredRun:
    """One live run.

    Attributes:
        name: of its folder.
        profile: its link's name.
        objective: what its policies minimised.
        radio: name of the device's radio.
        congestion_control: of both ends.
        pairs: what was measured.
        set_links: the link as set, a state a pair.
        slowdown: times slower the device was than a core.
        calibration: what the run was told of its machine; None: nothing.
        choices: by policy.
    """

    name: str
    profile: str
    objective: Objective
    radio: str
    congestion_control: str
    pairs: tuple[PairedRun, ...]
    set_links: tuple[LinkState, ...]
    slowdown: float
    calibration: Calibration | None
    choices: dict[str, Choices]

    @property
    def transfers(self) -> TransferFit:
        """How its transfers were told to compare with the link model's."""
        if self.calibration is None:
            return TransferFit()
        return self.calibration.transfer_fit(self.congestion_control)

    @property
    def server(self) -> ServerFit:
        """What its server was told to take besides the task."""
        return ServerFit() if self.calibration is None else self.calibration.server


def load_run(folder: Path) -> StoredRun:
    """Read the folder of a live run.

    Raises:
        ConfigError: it is no such folder, or damaged; the message names the file and line.
    """
    result = read_json(folder / "result.json")
    if result.get("mode") != "live":
        raise ConfigError(
            f"{folder} is not a live run (mode {result.get('mode')!r}): nothing was measured in it"
        )
    label = str(result.get("profile"))
    details = result.get("details")
    details = details if isinstance(details, dict) else {}
    radio = details.get("radio", PROFILES[label].radio if label in PROFILES else None)
    control = details.get("congestion_control")
    objective = result.get("objective")
    for what, value, known in (
        ("radio", radio, RADIOS),
        ("congestion control", control, CONGESTION_CONTROLS),
        ("objective", objective, tuple(map(str, Objective))),
    ):
        if value not in known:
            raise ConfigError(
                f"{folder}/result.json: {what} is {value!r}; known: {', '.join(known)}"
            )
    path, own = folder / "decisions.csv", folder / CALIBRATION_NAME
    rows = read_rows(path)
    usual = link_of(PROFILES[label]) if label in PROFILES else None
    pairs, links = [], []
    for number, row in enumerate(rows, start=2):
        try:
            pairs.append(_pair(row))
            links.append(_set_link(row, usual))
        except (KeyError, ValueError) as error:
            raise ConfigError(f"{path}, line {number}: {_said(error)}") from error
    return StoredRun(
        name=folder.resolve().name,
        profile=label,
        objective=Objective(str(objective)),
        radio=str(radio),
        congestion_control=str(control),
        pairs=tuple(pairs),
        set_links=tuple(links),
        slowdown=_slowdown(details, folder),
        calibration=load_calibration(own) if own.is_file() else None,
        choices=_choices(rows, path),
    )


def _slowdown(details: dict[str, Any], folder: Path) -> float:
    limit = details.get("device_cpu_limit")
    value = limit.get("slowdown") if isinstance(limit, dict) else None
    if not isinstance(value, int | float) or not 1.0 <= value < math.inf:
        raise ConfigError(
            f"{folder}/result.json: the device's slowdown is {value!r}, not 1 or more"
        )
    return float(value)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The lines of a CSV file with a heading.

    Raises:
        ConfigError: it is missing, empty, no CSV, too long, or has lines of unequal length.
    """
    rows: list[dict[str, str]] = []
    try:
        with path.open(newline="") as file:
            for row in csv.DictReader(file, strict=True):
                if len(rows) == MAX_PAIRS:
                    raise ConfigError(f"{path} has more than {MAX_PAIRS:,} lines; it is not read")
                if None in row or None in row.values():
                    raise ConfigError(
                        f"{path}, line {len(rows) + 2}: not as many values as columns"
                    )
                rows.append(row)
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not rows:
        raise ConfigError(f"{path} holds no measured task")
    return rows


def _said(error: Exception) -> str:
    return f"the column {error} is missing" if isinstance(error, KeyError) else str(error)


def _number(row: Mapping[str, str], name: str, low: float = 0.0) -> float:
    text = row[name]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (low <= value < math.inf):
        raise ValueError(f"{name} is {text!r}; it must be a number, {low:g} or more")
    return value


def _pair(row: Mapping[str, str]) -> PairedRun:
    kind, slash, size = row["task"].partition("/")
    if not slash:
        raise ValueError(f"task is {row['task']!r}; it must be KIND/SIZE")
    given_up = row["edge_measured_seconds"] == ""
    link = LinkState(*(_number(row, name) for name in LinkState.__slots__))
    return PairedRun(
        task=TaskInstance(kind, size, int(_number(row, "task_seed"))),
        link=link,
        edge_seen=EdgeState(_number(row, "edge_queue_seen_s"), link.age_s),
        predicted=TaskProfile(
            *(_number(row, f"predicted_{name}", 1e-9) for name in TaskProfile.__slots__)
        ),
        budget_s=_number(row, "budget_s"),
        local=_cost(0.0, 0.0, _number(row, "local_measured_s", 1e-9), 0.0),
        edge=None
        if given_up
        else _cost(
            *(
                _number(row, f"edge_measured_{name}_s")
                for name in ("upload", "queue", "compute", "download")
            )
        ),
        correct=row["correct"] == "1",
        detail=row["edge_given_up_because"],
        trace_s=_number(row, "trace_s") if "trace_s" in row else None,
    )


def _cost(upload_s: float, queue_s: float, compute_s: float, download_s: float) -> PlacementCost:
    return PlacementCost(upload_s, queue_s, compute_s, download_s, cpu_j=0.0, radio_j=0.0)


def _set_link(row: Mapping[str, str], usual: LinkState | None) -> LinkState:
    """The link as set; of a run before such columns were written, its profile's."""
    if f"set_{NAMES[0]}" not in row and usual is not None:
        return usual
    return LinkState(**{name: _number(row, f"set_{name}") for name in NAMES})


def _choices(rows: list[dict[str, str]], path: Path) -> dict[str, Choices]:
    found = {}
    for column in rows[0]:
        if not column.endswith(_PLACEMENT):
            continue
        name = column.removesuffix(_PLACEMENT)
        both = []
        for kind in (_PLACEMENT, _OPTIMUM):
            values = [row.get(name + kind, "") for row in rows]
            if not set(values) <= {"0", "1"}:
                raise ConfigError(f"{path}: column {name + kind} must hold 0 and 1 alone")
            both.append(tuple(map(int, values)))
        found[name] = Choices(*both)
    return found
