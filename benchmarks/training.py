"""Speed of the environment and of training: ``python benchmarks/training.py``.

Everything is timed side by side in one run; the ratios mean more than the figures.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.run_directory import STATUS_NAME, read_json
from agents.training import ALGORITHMS, TrainConfig, train
from envs.batched import BatchedOffloadVecEnv
from envs.task_offloading import TaskOffloadingEnv

SPAN_S = 3.0
LANES = (64, 256, 1024, 4096)
TRAINING_STEPS = 500_000


def _steps_per_s(env: Any, lanes: int) -> float:
    """Steps of an SB3 vectorised environment in a second, with random actions."""
    rng = np.random.default_rng(0)
    actions = rng.integers(2, size=(64, lanes))
    env.reset()
    steps = 0
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < SPAN_S:
        env.step(actions[steps % 64])
        steps += 1
    env.close()
    return steps * lanes / elapsed


def main() -> None:
    """Time the environment in each form, then a short training of each algorithm."""
    from stable_baselines3.common.vec_env import DummyVecEnv

    console = Console()
    shown = Table("environment", "steps/s", "times DummyVecEnv(8)", title="Environment")
    base = _steps_per_s(DummyVecEnv([TaskOffloadingEnv] * 8), 8)
    shown.add_row("DummyVecEnv(8)", f"{base:,.0f}", "1")
    for lanes in LANES:
        speed = _steps_per_s(BatchedOffloadVecEnv(lanes, seed=0), lanes)
        shown.add_row(f"batched, {lanes} lanes", f"{speed:,.0f}", f"{speed / base:.0f}")
    console.print(shown)

    shown = Table(
        "algorithm", "steps", "seconds", "steps/s", "s to 95 %", "accuracy", title="Training"
    )
    with tempfile.TemporaryDirectory() as runs:
        for algorithm in ALGORITHMS:
            config = TrainConfig(algo=algorithm, steps=TRAINING_STEPS)
            result = train(config, Path(runs), tensorboard=False)
            reached = read_json(result.folder / STATUS_NAME)["seconds_to_95_percent_accuracy"]
            shown.add_row(
                algorithm,
                f"{result.steps:,}",
                f"{result.seconds:.1f}",
                f"{result.steps / result.seconds:,.0f}",
                "not reached" if reached is None else f"{reached:.1f}",
                f"{result.accuracy:.1%}",
            )
    console.print(shown)


if __name__ == "__main__":
    main()
