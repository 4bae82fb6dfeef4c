"""Trains a stable-baselines3 agent on the batched environment and writes a run folder."""

from __future__ import annotations

import csv
import dataclasses
import time
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from agents.bundle import PolicyBundle
from agents.run_directory import (
    BUNDLE_NAME,
    CONFIG_NAME,
    CURVE_NAME,
    MODEL_NAME,
    ORIGIN_NAME,
    STATUS_NAME,
    TENSORBOARD_NAME,
    new_run_folder,
    origin,
    read_json,
    write_json,
)
from envs.config import EnvConfig, config_from_dict
from envs.scenario import draw_scenario
from envs.streams import Purpose, stream
from offload.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

    from envs.batched import BatchedOffloadVecEnv

DEFAULT_STEPS = {"ppo": 2_000_000, "dqn": 1_500_000}
"""Half a minute to a minute on two cores."""
ALGORITHMS = ("ppo", "dqn", "a2c")
TUNING_LANES = 256


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run.

    Attributes:
        algo: ppo, dqn, or another stable-baselines3 algorithm with discrete actions by name.
        seed: seed of the weights, the exploration and the training scenarios.
        steps: decisions to train on; None: about a minute's worth.
        lanes: episodes side by side; None: the algorithm's own.
        env: the world to train in.
    """

    algo: str = "ppo"
    seed: int = 0
    steps: int | None = None
    lanes: int | None = None
    env: EnvConfig = field(default_factory=EnvConfig)

    def __post_init__(self) -> None:
        if self.algo not in ALGORITHMS:
            raise UnknownNameError("algorithm", self.algo, ALGORITHMS)
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
        return self.lanes or {"dqn": 256, "a2c": 256}.get(self.algo, 1024)


@dataclass(frozen=True)
class TrainResult:
    """What a training run came to."""

    folder: Path
    bundle: PolicyBundle
    steps: int
    seconds: float
    accuracy: float
    interrupted: bool


def build_model(config: TrainConfig, env: BatchedOffloadVecEnv) -> BaseAlgorithm:
    """The untrained model.

    The discount fits how far decisions are coupled: by a queue of seconds and a radio tail of
    twelve, so by a handful of tasks. On validation scenarios a discount of 0 loses that, 0.9 gains
    no more cost than 0.7, and the further it looks the less it agrees with maui-true, which does
    not look ahead at all.
    """
    import stable_baselines3 as sb3
    import torch
    from torch import nn

    torch.set_num_threads(1)  # networks this small lose more to hand-over than they gain
    shared: dict[str, Any] = {
        "policy": "MlpPolicy",
        "env": env,
        "seed": config.seed,
        "device": "cpu",
    }
    network: dict[str, Any] = {
        "activation_fn": nn.ReLU,
        "optimizer_class": torch.optim.Adam,
        "optimizer_kwargs": {"fused": True},
    }
    if config.algo == "dqn":
        return sb3.DQN(
            **shared,
            learning_rate=_falling(2e-3),
            buffer_size=200_000,
            learning_starts=min(10_000, max(config.total_steps // 10, 1)),
            batch_size=1024,
            gamma=0.7,
            train_freq=1,
            gradient_steps=1,
            target_update_interval=10 * config.n_lanes,
            exploration_fraction=0.3,
            exploration_final_eps=0.05,
            policy_kwargs={**network, "net_arch": [64, 64]},
        )
    network["net_arch"] = {"pi": [64, 64], "vf": [64, 64]}
    if config.algo == "a2c":
        return sb3.A2C(
            **shared,
            learning_rate=_falling(1e-3),
            n_steps=8,
            gamma=0.7,
            gae_lambda=0.9,
            use_rms_prop=False,
            # The first, absurd choices cost ten times the rest; unscaled, they teach never to try.
            normalize_advantage=True,
            ent_coef=0.01,
            policy_kwargs=network,
        )
    return sb3.PPO(
        **shared,
        learning_rate=_falling(2e-3),
        n_steps=8,
        batch_size=min(2048, 8 * config.n_lanes),
        n_epochs=4,
        gamma=0.7,
        gae_lambda=0.9,
        ent_coef=0.002,
        policy_kwargs=network,
    )


def _falling(initial: float) -> Any:
    """A learning rate that falls linearly to a twentieth."""

    def rate(remaining: float) -> float:
        return initial * (0.05 + 0.95 * max(remaining, 0.0))

    return rate


def train(
    config: TrainConfig,
    runs: Path,
    *,
    resume: Path | None = None,
    tensorboard: bool = True,
    progress: bool | None = None,
) -> TrainResult:
    """Train, and write the run's folder under ``runs``.

    Args:
        resume: a run folder; training goes on from its weights for ``config.steps`` more.
        progress: True or False forces the bar; None: shown on a terminal.

    Raises:
        ConfigError: a folder that cannot be written, or a run that cannot be resumed.
    """
    from stable_baselines3.common.logger import Logger

    from agents.thresholds import tune_thresholds
    from agents.training_watch import TrainingWatch
    from envs.batched import BatchedOffloadVecEnv

    train_seed = int(stream(Purpose.TRAIN, config.seed).integers(2**31))
    env = BatchedOffloadVecEnv(config.n_lanes, config.env, relative_reward=True)
    tuning = draw_scenario(stream(Purpose.TUNE, 0), config.env, env.table, TUNING_LANES)
    thresholds = tune_thresholds(tuning, config.env)

    model = build_model(config, env)
    before = _load_weights(model, resume) if resume else 0
    folder = new_run_folder(runs, f"{config.algo}-{config.env.objective}-seed{config.seed}")
    write_json(folder / CONFIG_NAME, dataclasses.asdict(config))
    write_json(folder / ORIGIN_NAME, {**origin(), "resumed_from": str(resume) if resume else None})
    if tensorboard:
        model.tensorboard_log = str(folder)
    else:
        # Without a logger of its own, stable-baselines3 leaves a folder in /tmp.
        model.set_logger(Logger(folder=None, output_formats=[]))
    # The model has given the environment its own seed; a resumed run goes on to new scenarios.
    env.seed(train_seed + before)
    watch = TrainingWatch(config, env, folder, thresholds, progress)
    start = time.perf_counter()
    interrupted = False
    try:
        model.learn(
            config.total_steps,
            callback=watch,
            tb_log_name=TENSORBOARD_NAME,
            # The watch writes the log at its checks, at even intervals for every algorithm.
            log_interval=1_000_000_000,
        )
    except KeyboardInterrupt:
        interrupted = True
    finally:
        watch.close_bar()
    seconds = time.perf_counter() - start
    watch.check(model)
    best = watch.best
    bundle = PolicyBundle(
        algorithm=config.algo,
        objective=config.env.objective,
        activation=best.activation,
        layers=best.layers,
        thresholds=tuple(rule.to_dict() for rule in thresholds),
        provenance={
            "seed": config.seed,
            "steps": before + best.step,
            "env": _described(config.env),
            "validation_accuracy": best.accuracy,
        },
    )
    bundle.save(folder / BUNDLE_NAME)
    watch.save_best_model(folder / MODEL_NAME)
    _write_curve(folder / CURVE_NAME, watch.curve)
    done = before + model.num_timesteps
    write_json(
        folder / STATUS_NAME,
        {
            "finished": not interrupted,
            "steps": done,
            "training_seconds": seconds,
            "steps_per_s": model.num_timesteps / seconds,
            "seconds_to_95_percent_accuracy": watch.seconds_to(0.95),
            "validation": {"accuracy": best.accuracy, "cost": best.cost, "step": best.step},
        },
    )
    env.close()
    return TrainResult(folder, bundle, model.num_timesteps, seconds, best.accuracy, interrupted)


def _described(world: EnvConfig) -> dict[str, Any]:
    """The world as a bundle tells of it: the traces' names, without where they lay."""
    names = [Path(file).name for file in world.traces]
    return {**dataclasses.asdict(world), "traces": names}


def _load_weights(model: BaseAlgorithm, run: Path) -> int:
    """Load weights and optimiser state of a run; returns the steps it had trained.

    Only tensors are read (torch's ``weights_only``), never the pickled part of an SB3 archive.
    """
    from stable_baselines3.common.save_util import load_from_zip_file

    path = run / MODEL_NAME
    if not path.is_file():
        raise ConfigError(f"{run} holds no {MODEL_NAME}; only a run that wrote one can be resumed")
    try:
        _, parameters, _ = load_from_zip_file(path, load_data=False, device="cpu")
        model.set_parameters(parameters, exact_match=True, device="cpu")
    except (ValueError, RuntimeError, KeyError, OSError, UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"{path} cannot be resumed: {reason}") from error
    steps = read_json(run / STATUS_NAME).get("steps", 0)
    return int(steps)


def _write_curve(path: Path, curve: list[dict[str, float]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(curve[0]))
        writer.writeheader()
        writer.writerows(curve)


def resumed_config(run: Path, steps: int | None) -> TrainConfig:
    """The settings of a run, with other steps, to go on from it.

    Raises:
        ConfigError: the run has no readable settings.
    """
    data = read_json(run / CONFIG_NAME)
    try:
        return TrainConfig(
            algo=str(data["algo"]),
            seed=int(data["seed"]),
            steps=steps or data["steps"],
            lanes=data["lanes"],
            env=config_from_dict(data["env"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{run / CONFIG_NAME} is damaged: {error!r}") from error
