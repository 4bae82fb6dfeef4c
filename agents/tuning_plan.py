"""What a study is to try, as its folder holds it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from agents.run_directory import origin, read_json, write_json
from agents.train_config import TrainConfig, config_of
from offload.errors import ConfigError

PLAN_NAME = "study.json"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a study is to try.

    Attributes:
        config: of each trial, but for lanes and hyper-parameters.
        trials: how many in all, those ended early counted in.
    """

    config: TrainConfig
    trials: int


def is_study(folder: Path) -> bool:
    """True of a study's folder."""
    return (folder / PLAN_NAME).is_file()


def write_study_plan(folder: Path, plan: Plan) -> None:
    """Write down what the study is to try."""
    data = {"config": dataclasses.asdict(plan.config), "trials": plan.trials}
    write_json(folder / PLAN_NAME, {**data, "origin": origin()})


def read_study_plan(folder: Path, trials: int | None, steps: int | None) -> Plan:
    """The plan of a study that is to go on, with more trials if they are given.

    Raises:
        ConfigError: it cannot be read, or other steps are asked for: trials of different length
            cannot be compared.
    """
    data = read_json(folder / PLAN_NAME)
    config = config_of(data.get("config"), None, folder / PLAN_NAME)
    stored = data.get("trials")
    if not isinstance(stored, int) or stored < 1:
        raise ConfigError(f"{folder / PLAN_NAME} is damaged: trials are {stored!r}")
    if steps not in (None, config.total_steps):
        raise ConfigError(
            f"the study's trials train for {config.total_steps:,} steps; "
            "trials of another length cannot be compared with them"
        )
    return Plan(config, stored if trials is None else trials)
