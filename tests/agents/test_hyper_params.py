"""Hyper-parameters: what a file may hold, and that a training is made of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from agents.hyper_params import DqnParams, PpoParams, params_from_dict, read_params
from agents.train_config import TrainConfig, config_of
from agents.training import build_model
from envs.batched import BatchedOffloadVecEnv
from envs.config import EnvConfig
from offload.errors import ConfigError


def _file(folder: Path, data: Any) -> Path:
    path = folder / "params.json"
    path.write_text(json.dumps(data))
    return path


def test_a_file_says_only_what_differs_from_the_defaults(tmp_path: Path) -> None:
    path = _file(tmp_path, {"algo": "dqn", "lanes": 64, "params": {"gamma": 0.5}})
    held = read_params(path)
    assert (held.algo, held.lanes) == ("dqn", 64)
    assert held.params == DqnParams(gamma=0.5)
    assert read_params(_file(tmp_path, held.to_dict())) == held


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"params": {"gama": 0.5}}, "Did you mean 'gamma'"),
        ({"parms": {}}, "Did you mean 'params'"),
        ({"algo": "pppo"}, "Did you mean 'ppo'"),
        ({"params": {"gamma": 1.5}}, "gamma is 1.5; it must be from 0 to 1"),
        ({"params": {"gamma": "0.5"}}, "gamma is '0.5'; it must be a float"),
        ({"params": {"n_steps": 8.0}}, "n_steps is 8.0; it must be a int"),
        ({"params": {"n_epochs": True}}, "n_epochs is True"),
        ({"params": {"learning_rate": float("nan")}}, "learning_rate is nan"),
        ({"params": {"activation": "rely"}}, "Did you mean 'relu'"),
        ({"params": {"width": 100_000}}, "width is 100000"),
        ({"params": [1]}, "must be a table"),
        ({"lanes": "many"}, "lanes is 'many'"),
    ],
)
def test_a_wrong_file_is_refused_by_its_name(tmp_path: Path, data: Any, message: str) -> None:
    path = _file(tmp_path, data)
    with pytest.raises(ConfigError, match=message) as refused:
        read_params(path)
    assert str(refused.value).startswith(f"{path}: ")


def test_the_settings_of_a_training_hold_them() -> None:
    config = TrainConfig(params=PpoParams(gamma=0.1, width=16))
    stored = json.loads(json.dumps(dataclasses.asdict(config)))
    assert config_of(stored, None, Path("config.json")) == config
    assert TrainConfig(algo="dqn").params == DqnParams()
    with pytest.raises(ConfigError, match="ppo cannot be trained with DqnParams"):
        TrainConfig(algo="ppo", params=DqnParams())


@pytest.mark.parametrize("algo", ["ppo", "dqn", "a2c"])
def test_a_model_is_built_of_them(algo: str) -> None:
    values = {"gamma": 0.3, "learning_rate": 0.01, "width": 24, "depth": 3, "activation": "tanh"}
    config = TrainConfig(algo=algo, lanes=2, params=params_from_dict(algo, values))
    env = BatchedOffloadVecEnv(2, EnvConfig(episode_tasks=4))
    model: Any = build_model(config, env)
    env.close()
    assert model.gamma == 0.3
    assert model.lr_schedule(1.0) == pytest.approx(0.01)
    assert model.lr_schedule(0.0) == pytest.approx(0.01 / 20)
    hidden = [w for n, w in model.policy.named_parameters() if w.ndim == 2 and len(w) == 24]
    networks = 2  # policy and value, or the Q network and its target
    assert len(hidden) == 3 * networks
    assert "Tanh" in repr(model.policy)
    assert "ReLU" not in repr(model.policy)


def test_ppos_own_reach_it() -> None:
    values = {"n_steps": 4, "batch_size": 6, "n_epochs": 7, "gae_lambda": 0.6, "ent_coef": 0.25}
    params = params_from_dict("ppo", {**values, "clip_range": 0.11})
    env = BatchedOffloadVecEnv(3, EnvConfig(episode_tasks=4))
    model: Any = build_model(TrainConfig(lanes=3, params=params), env)
    env.close()
    assert {name: getattr(model, name) for name in values} == values
    assert model.clip_range(1.0) == 0.11
