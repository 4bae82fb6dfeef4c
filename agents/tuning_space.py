"""Which hyper-parameters a study tries, in which bounds."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from agents.hyper_params import PARAMS, ParamsFile, params_from_dict
from agents.train_config import TrainConfig
from offload.errors import ConfigError

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

_SHARED: dict[str, Any] = {
    "learning_rate": (3e-4, 1e-2, "log"),
    "gamma": (0.0, 0.95),
    "width": [32, 64, 128],
    "depth": [1, 2, 3],
    "activation": ["relu", "tanh"],
}
SPACE: dict[str, dict[str, Any]] = {
    "ppo": {
        **_SHARED,
        "lanes": [256, 512, 1024, 2048],
        "n_steps": [4, 8, 16, 32],
        "batch_size": [512, 1024, 2048, 4096],
        "n_epochs": [2, 3, 4, 6, 8],
        "gae_lambda": (0.5, 1.0),
        "ent_coef": (1e-5, 3e-2, "log"),
        "clip_range": (0.1, 0.4),
    },
    "dqn": {
        **_SHARED,
        "lanes": [64, 128, 256, 512],
        "buffer_size": [50_000, 100_000, 200_000, 400_000],
        "batch_size": [256, 512, 1024, 2048],
        "gradient_steps": [1, 2],
        "target_update_every": [3, 10, 30, 100],
        "exploration_share": (0.05, 0.5),
        "exploration_end": (0.005, 0.1, "log"),
    },
}
"""By algorithm: a range (low, high), evenly or in the logarithm, or a list to choose from."""


def require_space(algo: str) -> None:
    """Raises ConfigError where an algorithm has no space to search."""
    if algo not in SPACE:
        raise ConfigError(f"--tune knows {' and '.join(SPACE)}, not {algo}")


def suggest(trial: BaseTrial, algo: str) -> ParamsFile:
    """The settings a trial is to be trained with."""
    values: dict[str, Any] = {}
    for name, bounds in SPACE[algo].items():
        if isinstance(bounds, list):
            values[name] = trial.suggest_categorical(name, bounds)
        else:
            values[name] = trial.suggest_float(name, *bounds[:2], log=len(bounds) > 2)
    return settings(algo, values)


def settings(algo: str, values: dict[str, Any]) -> ParamsFile:
    """A trial's values as the settings of a training."""
    params = {name: value for name, value in values.items() if name != "lanes"}
    return ParamsFile(algo, int(values["lanes"]), params_from_dict(algo, params))


def defaults(algo: str) -> dict[str, Any]:
    """The values of a training that is told nothing, as those of a trial.

    A study begins with them, so what it finds is always compared with what there was.
    """
    values = dataclasses.asdict(PARAMS[algo]())
    values["lanes"] = TrainConfig(algo=algo).n_lanes
    return {name: values[name] for name in SPACE[algo]}
