"""Learners of sb3-contrib beside the ones that ship: QR-DQN, and PPO with a memory (LSTM).

python benchmarks/other_learners.py      (pip install --no-deps -r requirements-contrib.txt)

Each trains on so many decisions with the settings of its relative that ships; 20 times on the way
it plays the validation scenarios, and the cheapest weights count. Same episodes for all.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich import box
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.maui_policy import MauiPolicy
from agents.rollout import roll_out
from envs.config import EnvConfig
from envs.dynamics import OffloadDynamics
from envs.scenario import Scenario, draw_scenario
from envs.streams import Purpose, stream
from offload.errors import ConfigError, OffloadError
from offload.types import Objective

CHECKS = 20
VALIDATION_LANES = 1024


@dataclass(frozen=True)
class Config:
    """What to train."""

    algos: tuple[str, ...] = ("ppo", "recurrent-ppo", "dqn", "qr-dqn")
    """Of these four."""
    steps: int = 1_000_000
    """Decisions each trains on."""
    seeds: int = 3
    """Trainings of each, seeds 0, 1, ..."""
    objective: Objective = Objective.MIXED


@dataclass(frozen=True, slots=True)
class Check:
    """What the weights of one moment cost on validation scenarios."""

    cost: float
    accuracy: float
    step: int


def build(algo: str, world: EnvConfig, seed: int) -> Any:
    """The untrained model in its environment."""
    from sb3_contrib import QRDQN, RecurrentPPO

    from agents.training import TrainConfig, build_model
    from envs.batched import BatchedOffloadVecEnv

    relative = "ppo" if "ppo" in algo else "dqn"
    settings = TrainConfig(algo=relative, seed=seed, env=world)
    env = BatchedOffloadVecEnv(settings.n_lanes, world, relative_reward=True)
    model = build_model(settings, env)
    if algo == relative:
        return model
    shared: dict[str, Any] = {
        "env": env,
        "seed": seed,
        "device": "cpu",
        "learning_rate": model.learning_rate,
    }
    network = dict(model.policy_kwargs)
    if algo == "qr-dqn":
        same = (
            "buffer_size", "learning_starts", "batch_size", "gamma", "gradient_steps",
            "target_update_interval", "exploration_fraction", "exploration_final_eps",
        )  # fmt: skip
        kept = {name: getattr(model, name) for name in same}
        network["n_quantiles"] = 25  # its loss compares all pairs of them
        return QRDQN("MlpPolicy", **shared, **kept, train_freq=1, policy_kwargs=network)
    network.update(net_arch=[64], lstm_hidden_size=64)
    kept = {name: getattr(model, name) for name in ("gamma", "gae_lambda", "n_epochs", "ent_coef")}
    return RecurrentPPO(
        "MlpLstmPolicy",
        **shared,
        **kept,
        n_steps=16,  # as far back as its gradients reach
        batch_size=4096,
        policy_kwargs=network,
    )


def play(model: Any, scenario: Scenario, world: EnvConfig) -> tuple[float, float]:
    """Mean cost and accuracy of the greedy policy, its memory kept through an episode."""
    dynamics = OffloadDynamics(scenario, world)
    state, first = None, np.ones(scenario.lanes, dtype=bool)
    costs, right = [], []
    while not dynamics.done:
        observation = dynamics.observation()
        placement, state = model.predict(observation, state, first, deterministic=True)
        first = np.zeros_like(first)
        result = dynamics.step(placement)
        costs.append(result.cost)
        right.append(placement == result.optimum)
    return float(np.mean(costs)), float(np.mean(right))


def train(model: Any, steps: int, scenario: Scenario, world: EnvConfig) -> tuple[Check, float]:
    """Train; the best check and the seconds spent besides checking."""
    from agents.training_log import silent_log

    found: list[Check] = []
    checking_s = 0.0

    def watch(local: dict[str, Any], _: dict[str, Any]) -> bool:
        nonlocal checking_s
        if local["self"].num_timesteps >= (len(found) + 1) * steps // CHECKS:
            start = time.perf_counter()
            cost, accuracy = play(local["self"], scenario, world)
            found.append(Check(cost, accuracy, local["self"].num_timesteps))
            checking_s += time.perf_counter() - start
        return True

    model.set_logger(silent_log())
    start = time.perf_counter()
    model.learn(steps, callback=watch, log_interval=1_000_000_000)
    return min(found, key=lambda each: each.cost), time.perf_counter() - start - checking_s


def main(config: Config) -> None:
    """Train all, and print the table."""
    import torch

    if find_spec("sb3_contrib") is None:
        raise ConfigError(
            "sb3-contrib is missing: pip install --no-deps -r requirements-contrib.txt"
        )
    torch.set_num_threads(1)
    world = EnvConfig(objective=config.objective)
    table = Table(
        title=f"{config.steps:,} decisions, {config.seeds} seeds, objective {config.objective}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for heading in ("policy", "cost of each seed", "mean cost", "accuracy %", "seconds"):
        table.add_column(heading, justify="left" if heading == "policy" else "right")
    scenario = None
    for algo in config.algos:
        results = []
        for seed in range(config.seeds):
            model = build(algo, world, seed)
            if scenario is None:
                scenario = draw_scenario(
                    stream(Purpose.VALIDATE, 0), world, model.env.table, VALIDATION_LANES
                )
                for truth in (False, True):
                    policy = MauiPolicy(config.objective, sees_truth=truth)
                    played = roll_out(policy, scenario, world)
                    right = (played.placement == played.optimum).mean()
                    cost = f"{played.cost.mean():.4f}"
                    table.add_row(policy.name, "-", cost, f"{100 * right:.1f}", "-")
            results.append(train(model, config.steps, scenario, world))
            print(f"{algo}, seed {seed}: {results[-1]}", flush=True)
        table.add_row(
            algo,
            " ".join(f"{check.cost:.4f}" for check, _ in results),
            f"{np.mean([check.cost for check, _ in results]):.4f}",
            f"{100 * np.mean([check.accuracy for check, _ in results]):.1f}",
            f"{np.mean([seconds for _, seconds in results]):.0f}",
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


if __name__ == "__main__":
    try:
        main(tyro.cli(Config, description=__doc__))
    except OffloadError as error:
        raise SystemExit(f"other_learners: {error}") from error
