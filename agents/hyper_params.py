"""Hyper-parameters of each algorithm: typed, bounded, and read from a file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.run_directory import read_json
from offload.errors import ConfigError, UnknownNameError

ACTIVATIONS = ("relu", "tanh")
MAX_WIDTH = 512
MAX_DEPTH = 4


@dataclass(frozen=True)
class HyperParams:
    """What all algorithms have.

    The discount fits how far decisions are coupled: by a queue of seconds and a radio tail of
    twelve, so by a handful of tasks. On validation scenarios a discount of 0 loses that; with PPO
    0.9 gains no more cost than 0.7. The further it looks the less it agrees with maui-true, which
    does not look ahead at all.

    Attributes:
        learning_rate: Adam's at the start; it falls linearly to a twentieth.
        gamma: discount.
        width, depth: hidden units a layer, and hidden layers.
        activation: between the layers.
    """

    learning_rate: float = 2e-3
    gamma: float = 0.7
    width: int = 64
    depth: int = 2
    activation: str = "relu"

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            value = getattr(self, entry.name)
            kinds = {"float": (int, float), "int": (int,), "str": (str,)}[str(entry.type)]
            if isinstance(value, bool) or not isinstance(value, kinds):
                raise ConfigError(f"{entry.name} is {value!r}; it must be a {entry.type}")
        _require("learning_rate", self.learning_rate, 1e-7, 1.0)
        _require("gamma", self.gamma, 0.0, 1.0)
        _require("width", self.width, 1, MAX_WIDTH)
        _require("depth", self.depth, 1, MAX_DEPTH)
        if self.activation not in ACTIVATIONS:
            raise UnknownNameError("activation", self.activation, ACTIVATIONS)

    @property
    def hidden(self) -> list[int]:
        """Units of each hidden layer."""
        return [self.width] * self.depth


@dataclass(frozen=True)
class PpoParams(HyperParams):
    """PPO's.

    Attributes:
        n_steps: decisions a lane between two updates.
        batch_size: decisions a gradient step, at most those between two updates.
        n_epochs: passes over them.
        gae_lambda: of generalised advantage estimation.
        ent_coef: weight of the entropy bonus.
        clip_range: how far an update may move a probability.

    The defaults are what a study of 60 trials found, rounded, with a network and passes that train
    a policy within a minute (docs/training.md).
    """

    learning_rate: float = 3.5e-3
    n_steps: int = 8
    batch_size: int = 1024
    n_epochs: int = 6
    gae_lambda: float = 0.98
    ent_coef: float = 1.5e-4
    clip_range: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        _require("n_steps", self.n_steps, 2, 1024)
        _require("batch_size", self.batch_size, 2, 1 << 20)
        _require("n_epochs", self.n_epochs, 1, 100)
        _require("gae_lambda", self.gae_lambda, 0.0, 1.0)
        _require("ent_coef", self.ent_coef, 0.0, 1.0)
        _require("clip_range", self.clip_range, 0.001, 1.0)


@dataclass(frozen=True)
class DqnParams(HyperParams):
    """DQN's.

    Attributes:
        buffer_size: decisions remembered.
        batch_size: decisions a gradient step.
        gradient_steps: steps after each decision of all lanes.
        target_update_every: decisions a lane between two updates of the target network.
        exploration_share: share of training over which random choices become fewer.
        exploration_end: share of choices that stay random.

    The defaults are what a study of 40 trials found, rounded (docs/training.md).
    """

    learning_rate: float = 7.5e-3
    gamma: float = 0.9
    width: int = 128
    depth: int = 1
    buffer_size: int = 400_000
    batch_size: int = 1024
    gradient_steps: int = 2
    target_update_every: int = 10
    exploration_share: float = 0.38
    exploration_end: float = 0.09

    def __post_init__(self) -> None:
        super().__post_init__()
        _require("buffer_size", self.buffer_size, 1000, 10_000_000)
        _require("batch_size", self.batch_size, 2, 1 << 20)
        _require("gradient_steps", self.gradient_steps, 1, 100)
        _require("target_update_every", self.target_update_every, 1, 100_000)
        _require("exploration_share", self.exploration_share, 0.0, 1.0)
        _require("exploration_end", self.exploration_end, 0.0, 1.0)


@dataclass(frozen=True)
class A2cParams(HyperParams):
    """A2C's; see :class:`PpoParams`."""

    learning_rate: float = 1e-3
    n_steps: int = 8
    gae_lambda: float = 0.9
    ent_coef: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        _require("n_steps", self.n_steps, 1, 1024)
        _require("gae_lambda", self.gae_lambda, 0.0, 1.0)
        _require("ent_coef", self.ent_coef, 0.0, 1.0)


PARAMS: dict[str, type[HyperParams]] = {"ppo": PpoParams, "dqn": DqnParams, "a2c": A2cParams}
"""Each algorithm's, by its name."""


def _require(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name} is {value}; it must be from {low:g} to {high:g}")


def params_from_dict(algo: str, values: Any) -> HyperParams:
    """Hyper-parameters as :func:`dataclasses.asdict` gives them; what is left out is the default.

    Raises:
        ConfigError: no table, an unknown key (the nearest is suggested), a wrong type or a value
            out of bounds.
    """
    if algo not in PARAMS:
        raise UnknownNameError("algorithm", algo, PARAMS)
    if not isinstance(values, dict):
        raise ConfigError(f"params must be a table of settings, not {type(values).__name__}")
    known = [entry.name for entry in dataclasses.fields(PARAMS[algo])]
    for key in values:
        if key not in known:
            raise UnknownNameError(f"hyper-parameter of {algo}", str(key), known)
    return PARAMS[algo](**values)


@dataclass(frozen=True, slots=True)
class ParamsFile:
    """A settings file: ``{"algo": "ppo", "lanes": 1024, "params": {"gamma": 0.7, ...}}``.

    Attributes:
        lanes: episodes side by side; None: the algorithm's own.
    """

    algo: str
    lanes: int | None
    params: HyperParams

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"algo": self.algo, "lanes": self.lanes, "params": dataclasses.asdict(self.params)}


def read_params(path: Path) -> ParamsFile:
    """Read a settings file, as a study writes it.

    Raises:
        ConfigError: missing, no JSON object, an unknown key or a value out of bounds.
    """
    data = read_json(path)
    try:
        for key in data:
            if key not in ("algo", "lanes", "params"):
                raise UnknownNameError("setting", key, ("algo", "lanes", "params"))
        lanes = data.get("lanes")
        if lanes is not None and (isinstance(lanes, bool) or not isinstance(lanes, int)):
            raise ConfigError(f"lanes is {lanes!r}; it must be a whole number, or null")
        algo = str(data.get("algo", "ppo"))
        return ParamsFile(algo, lanes, params_from_dict(algo, data.get("params", {})))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
