"""What a run's folder says, read and checked: nothing in it is trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from agents.run_directory import read_json
from offload.errors import ConfigError

RESULT_NAME = "result.json"
VOID_NAME = "void.json"
SCHEMA = 1

Interval = tuple[float, float, float]


class PolicyScore(msgspec.Struct, frozen=True):
    """What result.json says of a policy; docs/results.md has the meaning of each field."""

    accuracy: Interval
    accuracy_ties: Interval
    cost: Interval
    regret_maui_true: Interval
    latency_p50_s: float
    latency_p95_s: float
    energy_j: float
    offloaded: float
    deadline_misses: float
    fallbacks: float
    collapsed: bool
    regret_hindsight: Interval | None = None
    gap_closed: Interval | None = None
    improvement: Interval | None = None


class LinkScore(msgspec.Struct, frozen=True):
    """What it says of a policy on one link of several."""

    accuracy: Interval
    cost: Interval
    regret_maui_true: Interval


class Result(msgspec.Struct, frozen=True):
    """What result.json says."""

    schema: int
    profile: str
    mode: Literal["live", "sim"]
    backend: str | None
    objective: str
    decisions: int
    seed: int
    notes: list[str]
    policies: dict[str, PolicyScore]
    learned_policies_from: dict[str, str]
    energy: str
    latency: str
    details: dict[str, Any]
    origin: dict[str, Any]
    hindsight: dict[str, Any] | None = None
    links: dict[str, dict[str, LinkScore]] = {}
    seeds: dict[str, dict[str, PolicyScore]] = {}

    @property
    def live(self) -> bool:
        """Its latencies were measured."""
        return self.mode == "live"

    def columns_of(self, policy: str) -> list[str]:
        """Names in decisions.csv of what makes up a policy: itself, or its training seeds."""
        return list(self.seeds.get(policy, {})) or [policy]


def read_result(folder: Path) -> Result:
    """Read a folder's result.json.

    Raises:
        ConfigError: it is not there, or not as ``evaluate.py`` writes it; or the run is void.
    """
    path = folder / RESULT_NAME
    if not path.exists() and (folder / VOID_NAME).exists():
        raise ConfigError(f"{folder} holds a void run: it has no scores to report. Run it again")
    try:
        result = msgspec.convert(read_json(path), Result)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}; evaluate.py of this version writes it") from error
    if result.schema != SCHEMA:
        raise ConfigError(f"{path} is of schema {result.schema}; this version reads {SCHEMA}")
    if not result.policies:
        raise ConfigError(f"{path} names no policy")
    return result
