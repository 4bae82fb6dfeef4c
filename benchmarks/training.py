"""Speed of the environment and of training: ``python benchmarks/training.py``.

Everything is timed side by side in one run; the ratios mean more than the figures. Imports and the
drawing of the validation scenarios are left out, checks on them during training are counted in.
"""

from __future__ import annotations

import csv
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

LANES = (64, 256, 1024, 4096)
GAPS = (0.95, 0.98, 0.99)


@dataclass(frozen=True)
class Config:
    """What to time."""

    span_s: float = 3.0
    """Seconds for each form of the environment."""
    steps: int | None = None
    """Decisions of each training; by default each algorithm's own."""
    usual_steps: int = 16_384
    """Decisions that PPO in stable-baselines3's usual set-up is timed on."""
    long: bool = False
    """Steps of the environment alone up to 1e8, not 1e7: some minutes more."""
    long_steps: int | None = None
    """So many, in place of either; a row each power of ten from 100,000 on."""


def _steps_per_s(env: Any, lanes: int, span_s: float) -> float:
    """Steps of an SB3 vectorised environment in a second, with random actions."""
    actions = np.random.default_rng(0).integers(2, size=(64, lanes))
    env.reset()
    steps = 0
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < span_s:
        env.step(actions[steps % 64])
        steps += 1
    env.close()
    return steps * lanes / elapsed


def environments(config: Config) -> Table:
    """Steps a second in each form."""
    from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

    from envs.batched import BatchedOffloadVecEnv
    from envs.task_offloading import TaskOffloadingEnv

    forms: dict[str, tuple[Any, int]] = {
        "DummyVecEnv(8)": (lambda: DummyVecEnv([TaskOffloadingEnv] * 8), 8),
        "one TaskOffloadingEnv": (lambda: DummyVecEnv([TaskOffloadingEnv]), 1),
        "SubprocVecEnv(8)": (lambda: SubprocVecEnv([TaskOffloadingEnv] * 8), 8),
    }
    for lanes in LANES:
        forms[f"batched, {lanes} lanes"] = (
            lambda lanes=lanes: BatchedOffloadVecEnv(lanes, seed=0),
            lanes,
        )
    speeds = {
        name: _steps_per_s(make(), lanes, config.span_s) for name, (make, lanes) in forms.items()
    }
    shown = Table("environment", "steps/s", "times DummyVecEnv(8)", title="Environment")
    for name, speed in speeds.items():
        shown.add_row(name, f"{speed:,.0f}", f"{speed / speeds['DummyVecEnv(8)']:.1f}")
    return shown


def long_run(config: Config) -> Table:
    """Cost of a step, and memory, as steps add up in one environment."""
    from envs.batched import BatchedOffloadVecEnv

    lanes = 1024
    env = BatchedOffloadVecEnv(lanes, seed=0)
    env.reset()
    actions = np.random.default_rng(0).integers(2, size=(64, lanes))
    done = 0
    shown = Table(
        "steps", "CPU ns a step since the row before", "peak MiB", title="A long run, 1,024 lanes"
    )
    most = config.long_steps or (100_000_000 if config.long else 10_000_000)
    for target in (10**power for power in range(5, len(str(most)))):
        start, before = time.process_time(), done
        while done < target:
            env.step(actions[done // lanes % 64])
            done += lanes
        nanoseconds = (time.process_time() - start) / (done - before) * 1e9
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        shown.add_row(f"{done:,}", f"{nanoseconds:,.0f}", f"{peak:,.0f}")
    return shown


def usual_ppo(steps: int) -> tuple[int, float]:
    """PPO as stable-baselines3's examples set it up: DummyVecEnv(8), batch 64, 10 epochs.

    Returns:
        steps, whole rollouts of 16,384 (or of fewer, if fewer are asked for), and seconds.
    """
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    from agents.training_log import silent_log
    from envs.task_offloading import TaskOffloadingEnv

    torch.set_num_threads(1)  # as ours has: the quicker setting for networks so small
    env = DummyVecEnv([TaskOffloadingEnv] * 8)
    rollout = min(2048, max(8, steps // 8))
    model = PPO("MlpPolicy", env, n_steps=rollout, batch_size=64, n_epochs=10, device="cpu", seed=0)
    model.set_logger(silent_log())
    start = time.perf_counter()
    model.learn(steps)
    seconds = time.perf_counter() - start
    env.close()
    return model.num_timesteps, seconds


def trainings(config: Config) -> Table:
    """Each algorithm's training, beside PPO in the usual set-up."""
    from agents.run_directory import CURVE_NAME, STATUS_NAME, read_json
    from agents.training import TrainConfig, train

    usual_steps, usual_s = usual_ppo(config.usual_steps)
    usual = usual_steps / usual_s
    shown = Table(
        "training", "steps", "seconds", "steps/s", "times usual", "s to 95 % accuracy",
        *(f"s to {gap:.0%} of the gap" for gap in GAPS), "accuracy", "peak MiB",
        title="Training; the gap: from the best threshold rule to maui-true, validation scenarios",
    )  # fmt: skip
    shown.add_row("SB3's usual PPO", f"{usual_steps:,}", f"{usual_s:.1f}", f"{usual:,.0f}", "1")
    with tempfile.TemporaryDirectory() as runs:
        for algorithm in ("ppo", "dqn"):
            settings = TrainConfig(algo=algorithm, steps=config.steps)
            result = train(settings, Path(runs), tensorboard=False)
            status = read_json(result.folder / STATUS_NAME)
            with (result.folder / CURVE_NAME).open(newline="") as file:
                curve = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
            speed = result.steps / result.seconds
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            shown.add_row(
                algorithm,
                f"{result.steps:,}",
                f"{result.seconds:.1f}",
                f"{speed:,.0f}",
                f"{speed / usual:.1f}",
                _seconds(status["seconds_to_95_percent_accuracy"]),
                *(_seconds(_first(curve, gap)) for gap in GAPS),
                f"{result.accuracy:.1%}",
                f"{peak:,.0f}",
            )
    return shown


def _first(curve: list[dict[str, float]], gap: float) -> float | None:
    """Seconds until the first check with so much of the gap closed."""
    return next((row["seconds"] for row in curve if row["gap_closed"] >= gap), None)


def _seconds(value: float | None) -> str:
    return "not reached" if value is None else f"{value:.1f}"


def main(config: Config) -> None:
    """Print the tables, each when it is done."""
    console = Console(width=160)
    for table in (environments, long_run, trainings):
        console.print(table(config))


if __name__ == "__main__":
    main(tyro.cli(Config))
