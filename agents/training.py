"""Trains a stable-baselines3 agent on the batched environment and writes a run folder."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.bundle import BundlePolicy, PolicyBundle
from agents.checkpoint import EVERY_S, CheckpointWriter, newest_checkpoint
from agents.hyper_params import A2cParams, DqnParams, PpoParams
from agents.run_directory import (
    BUNDLE_NAME,
    CONFIG_NAME,
    CURVE_NAME,
    MODEL_NAME,
    ORIGIN_NAME,
    STATUS_NAME,
    held,
    new_run_folder,
    origin,
    read_json,
    write_json,
)
from agents.train_config import ALGORITHMS as ALGORITHMS
from agents.train_config import TrainConfig as TrainConfig
from envs.config import EnvConfig
from envs.scenario import draw_scenario
from envs.streams import Purpose, stream
from offload.errors import ConfigError

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

    from envs.batched import BatchedOffloadVecEnv

TUNING_LANES = 256


@dataclass(frozen=True)
class TrainResult:
    """What a training run came to."""

    folder: Path
    bundle: PolicyBundle
    steps: int
    seconds: float
    accuracy: float
    collapsed: bool
    interrupted: bool


def build_model(config: TrainConfig, env: BatchedOffloadVecEnv) -> BaseAlgorithm:
    """The untrained model."""
    import stable_baselines3 as sb3
    import torch
    from torch import nn

    torch.set_num_threads(1)  # networks this small lose more to hand-over than they gain
    params = config.params
    if params is None:
        raise ConfigError("a training needs hyper-parameters")
    shared: dict[str, Any] = {
        "policy": "MlpPolicy",
        "env": env,
        "seed": config.seed,
        "device": "cpu",
        "learning_rate": _falling(params.learning_rate),
        "gamma": params.gamma,
    }
    network: dict[str, Any] = {
        "activation_fn": {"relu": nn.ReLU, "tanh": nn.Tanh}[params.activation],
        "optimizer_class": torch.optim.Adam,
        "optimizer_kwargs": {"fused": True},
        "net_arch": {"pi": params.hidden, "vf": params.hidden},
    }
    if isinstance(params, DqnParams):
        return sb3.DQN(
            **shared,
            buffer_size=params.buffer_size,
            learning_starts=min(10_000, max(config.total_steps // 10, 1)),
            batch_size=params.batch_size,
            train_freq=1,
            gradient_steps=params.gradient_steps,
            target_update_interval=params.target_update_every * config.n_lanes,
            exploration_fraction=params.exploration_share,
            exploration_final_eps=params.exploration_end,
            policy_kwargs={**network, "net_arch": params.hidden},
        )
    if isinstance(params, A2cParams):
        return sb3.A2C(
            **shared,
            n_steps=params.n_steps,
            gae_lambda=params.gae_lambda,
            use_rms_prop=False,
            # The first, absurd choices cost ten times the rest; unscaled, they teach never to try.
            normalize_advantage=True,
            ent_coef=params.ent_coef,
            policy_kwargs=network,
        )
    if isinstance(params, PpoParams):
        return sb3.PPO(
            **shared,
            n_steps=params.n_steps,
            batch_size=min(params.batch_size, params.n_steps * config.n_lanes),
            n_epochs=params.n_epochs,
            gae_lambda=params.gae_lambda,
            ent_coef=params.ent_coef,
            clip_range=params.clip_range,
            policy_kwargs=network,
        )
    raise ConfigError(f"no algorithm takes {type(params).__name__}")


def _falling(initial: float) -> Any:
    """A learning rate that falls linearly to a twentieth."""

    def rate(remaining: float) -> float:
        return initial * (0.05 + 0.95 * max(remaining, 0.0))

    return rate


def train(
    config: TrainConfig,
    runs: Path,
    *,
    folder: Path | None = None,
    resume: Path | None = None,
    tensorboard: bool = True,
    progress: bool | None = None,
    stop: Callable[[], bool] | None = None,
    on_check: Callable[[dict[str, float]], None] | None = None,
    checkpoint_every_s: float = EVERY_S,
) -> TrainResult:
    """Train, and write the run's folder.

    Args:
        runs: where a folder named after time, algorithm, objective and seed is made.
        folder: the folder itself instead; it exists and is empty.
        resume: a run folder; its training goes on in it, to the bit as if it had never stopped,
            until ``config.steps`` in all.
        progress: True or False forces the bar; None: shown on a terminal.
        stop: asked between rollouts; True ends training there, with a checkpoint.
        on_check: is given the curve's rows as they are made.
        checkpoint_every_s: time between checkpoints.

    Raises:
        ConfigError: a folder that cannot be written, or a run that cannot be resumed.
    """
    from threadpoolctl import threadpool_limits

    from agents.checkpoint_state import put_state, take_state
    from agents.export import network_layers
    from agents.thresholds import tune_thresholds
    from agents.training_log import curve_output, silent_log, tell
    from agents.training_watch import TrainingWatch
    from envs.batched import BatchedOffloadVecEnv

    checkpoint, notes = newest_checkpoint(resume) if resume else (None, [])
    env = BatchedOffloadVecEnv(config.n_lanes, config.env, relative_reward=True)
    tuning = draw_scenario(stream(Purpose.TUNE, 0), config.env, env.table, TUNING_LANES)
    thresholds = tune_thresholds(tuning, config.env)
    model = build_model(config, env)
    model.set_logger(silent_log())
    label = f"{config.algo}-{config.env.objective}-seed{config.seed}"
    folder = resume or folder or new_run_folder(runs, label)

    def between() -> None:
        stopping = stop is not None and stop()
        if stopping or writer.due():
            writer.write(model.num_timesteps, take_state(config, model, env, watch))
        if stopping:
            raise KeyboardInterrupt

    # One thread for NumPy too, so that no number of cores changes a bit or a seed's neighbour.
    with (
        threadpool_limits(limits=1),
        held(folder),
        CheckpointWriter(folder, checkpoint_every_s, tell) as writer,
    ):
        watch = TrainingWatch(
            config, env, folder, thresholds, progress, on_check=on_check, between=between
        )
        if checkpoint is None:
            # The model has given the environment its own seed.
            env.seed(int(stream(Purpose.TRAIN, config.seed).integers(2**31)))
            write_json(folder / ORIGIN_NAME, {**origin(), "resumed": []})
        else:
            notes += put_state(checkpoint, config, model, env, watch)
            _note_resumption(folder, config, model.num_timesteps, notes)
        write_json(folder / CONFIG_NAME, dataclasses.asdict(config))
        board = None
        if tensorboard:
            output = curve_output(folder, watch.curve)
            model.logger.output_formats.append(output)
            board = watch.show_on(output.writer)
            board.describe(config, read_json(folder / ORIGIN_NAME))
        interrupted = False
        try:
            model.learn(
                config.total_steps - model.num_timesteps,
                callback=watch,
                reset_num_timesteps=False,
                # The watch writes the log at its checks, at even intervals for every algorithm.
                log_interval=1_000_000_000,
            )
        except KeyboardInterrupt:
            interrupted = True
        finally:
            watch.close_bar()
        seconds = watch.seconds
        watch.check(model)
        # After the check, so that a run that is extended has this one among its best.
        last = None if interrupted else take_state(config, model, env, watch)
        steps = model.num_timesteps
        best = watch.best
        watch.load_best(model)
        layers, activation = network_layers(model)
        bundle = PolicyBundle(
            algorithm=config.algo,
            objective=config.env.objective,
            activation=activation,
            layers=layers,
            thresholds=tuple(rule.to_dict() for rule in thresholds),
            provenance={
                "seed": config.seed,
                "steps": best.step,
                "env": _described(config.env),
                "validation_accuracy": best.accuracy,
            },
        )
        bundle.save(folder / BUNDLE_NAME)
        if board is not None:
            board.finish(BundlePolicy(bundle), steps, best.step, folder)
        model.logger.close()
        _save_model(model, folder / MODEL_NAME)
        _write_curve(folder / CURVE_NAME, watch.curve)
        write_json(
            folder / STATUS_NAME,
            {
                "finished": not interrupted,
                "steps": steps,
                "training_seconds": seconds,
                "steps_per_s": steps / seconds,
                "seconds_to_95_percent_accuracy": watch.seconds_to(0.95),
                "validation": {"accuracy": best.accuracy, "cost": best.cost, "step": best.step},
                "collapsed": best.collapsed,
            },
        )
        if last is not None:
            # At the very end: ended before it, the run goes on from an earlier one and ends anew.
            writer.write_last(steps, last)
    env.close()
    return TrainResult(folder, bundle, steps, seconds, best.accuracy, best.collapsed, interrupted)


def _note_resumption(folder: Path, config: TrainConfig, steps: int, notes: list[str]) -> None:
    """Tell the user and the run's origin that it goes on.

    Raises:
        ConfigError: it has been trained for as long as is asked for.
    """
    from agents.training_log import tell

    if steps >= config.total_steps:
        raise ConfigError(
            f"{folder} has trained {steps:,} of {config.total_steps:,} steps; "
            "name more with --steps to extend it"
        )
    for note in notes:
        tell(note)
    came_from = read_json(folder / ORIGIN_NAME)
    resumed = [*came_from.get("resumed", []), {**origin(), "at_step": steps, "notes": notes}]
    write_json(folder / ORIGIN_NAME, {**came_from, "resumed": resumed})


def _save_model(model: BaseAlgorithm, path: Path) -> None:
    """Write the model as a stable-baselines3 archive, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        model.save(file)
    partial.replace(path)


def _described(world: EnvConfig) -> dict[str, Any]:
    """The world as a bundle tells of it: the names of its files, without where they lay."""
    names = [Path(file).name for file in world.traces]
    calibration = None if world.calibration is None else Path(world.calibration).name
    return {**dataclasses.asdict(world), "traces": names, "calibration": calibration}


def _write_curve(path: Path, curve: list[dict[str, float]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(curve[0]))
        writer.writeheader()
        writer.writerows(curve)
