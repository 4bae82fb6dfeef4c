"""Settings of one training run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.hyper_params import PARAMS, HyperParams, params_from_dict
from agents.run_directory import CONFIG_NAME, read_json
from envs.config import EnvConfig, config_from_dict
from offload.errors import ConfigError, UnknownNameError

DEFAULT_STEPS = {"ppo": 2_000_000, "dqn": 750_000}
"""A minute on two cores."""
DEFAULT_LANES = {"ppo": 512, "dqn": 64, "a2c": 256}
ALGORITHMS = ("ppo", "dqn", "a2c")


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run.

    Attributes:
        algo: ppo, dqn, or another stable-baselines3 algorithm with discrete actions by name.
        seed: seed of the weights, the exploration and the training scenarios.
        steps: decisions to train on; None: about a minute's worth.
        lanes: episodes side by side; None: the algorithm's own.
        env: the world to train in.
        params: the algorithm's hyper-parameters; None becomes its defaults.
    """

    algo: str = "ppo"
    seed: int = 0
    steps: int | None = None
    lanes: int | None = None
    env: EnvConfig = field(default_factory=EnvConfig)
    params: HyperParams | None = None

    def __post_init__(self) -> None:
        if self.algo not in ALGORITHMS:
            raise UnknownNameError("algorithm", self.algo, ALGORITHMS)
        if self.params is None:
            object.__setattr__(self, "params", PARAMS[self.algo]())
        if type(self.params) is not PARAMS[self.algo]:
            raise ConfigError(f"{self.algo} cannot be trained with {type(self.params).__name__}")
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}; it must be 0 or more")
        if self.steps is not None and self.steps < 1:
            raise ConfigError(f"steps is {self.steps}; it must be at least 1")
        if self.lanes is not None and self.lanes < 1:
            raise ConfigError(f"lanes is {self.lanes}; it must be at least 1")

    @property
    def total_steps(self) -> int:
        """Decisions to train on."""
        return self.steps or DEFAULT_STEPS.get(self.algo, DEFAULT_STEPS["ppo"])

    @property
    def n_lanes(self) -> int:
        """Episodes side by side."""
        return self.lanes or DEFAULT_LANES[self.algo]


def resumed_config(run: Path, steps: int | None) -> TrainConfig:
    """The settings of a run, to go on with it.

    Args:
        steps: in all, in place of the run's own; more of them extend it.

    Raises:
        ConfigError: the run has no readable settings.
    """
    return config_of(read_json(run / CONFIG_NAME), steps, run / CONFIG_NAME)


def config_of(data: Any, steps: int | None, source: Path) -> TrainConfig:
    """Settings as :func:`dataclasses.asdict` gives them and JSON holds them.

    Args:
        steps: in place of theirs.
        source: the file they come from, for the error.

    Raises:
        ConfigError: they are not what a training has.
    """
    try:
        return TrainConfig(
            algo=str(data["algo"]),
            seed=int(data["seed"]),
            steps=data["steps"] if steps is None else steps,
            lanes=data["lanes"],
            env=config_from_dict(data["env"]),
            params=params_from_dict(data["algo"], data["params"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{source} is damaged: {error!r}") from error
