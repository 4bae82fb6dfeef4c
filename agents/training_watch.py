"""Watches a training: progress bar, TensorBoard scalars, checks on validation scenarios."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from tqdm import tqdm

from agents.bundle import BundlePolicy, PolicyBundle
from agents.export import network_layers
from agents.maui_policy import MauiPolicy
from agents.rollout import Rollout, roll_out
from agents.scores import COLLAPSE_SHARE
from agents.thresholds import ThresholdPolicy
from envs.batched import BatchedOffloadVecEnv
from envs.scenario import draw_scenario
from envs.streams import Purpose, stream
from offload.interfaces import Policy

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from torch.utils.tensorboard import SummaryWriter

    from agents.tensorboard_board import Board
    from agents.training import TrainConfig

CHECKS = 30
"""Checks in one training."""
VALIDATION_LANES = 1024


@dataclass(frozen=True)
class _Best:
    """The weights with the least validation cost so far, by their names in the policy."""

    cost: float
    accuracy: float
    offloaded: float
    step: int
    weights: dict[str, NDArray[Any]]

    @property
    def collapsed(self) -> bool:
        """They always answer the same."""
        return max(self.offloaded, 1.0 - self.offloaded) > COLLAPSE_SHARE


class TrainingWatch(BaseCallback):
    """Called by stable-baselines3 at each step of training.

    Args:
        on_check: is given each row of the curve as it is made.
        between: is called between two rollouts, where a checkpoint can be taken and training can
            be ended cleanly.

    TensorBoard gets ``offload/*`` from the training episodes (exploring) and ``validation/*``
    from the greedy policy on scenarios it never trains on.
    """

    def __init__(
        self,
        config: TrainConfig,
        env: BatchedOffloadVecEnv,
        folder: Path,
        thresholds: list[ThresholdPolicy],
        progress: bool | None,
        *,
        on_check: Callable[[dict[str, float]], None] | None = None,
        between: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.env = env
        self.folder = folder
        self.curve: list[dict[str, float]] = []
        self._on_check = on_check
        self._between = between
        self._best: _Best | None = None
        self._scenario = draw_scenario(
            stream(Purpose.VALIDATE, 0), config.env, env.table, VALIDATION_LANES
        )
        truth = MauiPolicy(config.env.objective, sees_truth=True)
        self._truth = self._play(truth)
        self._true_cost = float(self._truth.cost.mean())
        self._board: Board | None = None
        self._static_cost = min(float(self._play(rule).cost.mean()) for rule in thresholds)
        disable = None if progress is None else not progress
        self._bar = tqdm(total=config.total_steps, unit=" steps", unit_scale=True, disable=disable)
        self._interval = max(config.total_steps // CHECKS, 1)
        self._next_check = self._interval
        self._start = time.perf_counter()
        self._sums = np.zeros(5)

    def _play(self, policy: Policy) -> Rollout:
        return roll_out(policy, self._scenario, self.config.env)

    def _on_training_start(self) -> None:
        if not self.curve:
            self.check(self.model)
        # A resumed run's bar does not count what was trained before as speed.
        self._bar.initial = self._bar.n = self.num_timesteps

    def _on_rollout_start(self) -> None:
        if self._between is not None:
            self._between()

    def _on_step(self) -> bool:
        result = self.env.last_result
        if result is not None:
            actions = self.env.last_actions
            self._sums += (
                len(actions),
                float((actions == result.optimum).sum()),
                float(result.regret.sum()),
                float(actions.sum()),
                float(result.cost.sum()),
            )
        self._bar.update(self.training_env.num_envs)
        if self.num_timesteps >= self._next_check:
            self._next_check = self.num_timesteps + self._interval
            self.check(self.model)
        return True

    def check(self, model: BaseAlgorithm) -> None:
        """Play the validation scenarios, log, and keep the weights if they are the best."""
        layers, activation = network_layers(model)
        objective = self.config.env.objective
        policy = BundlePolicy(PolicyBundle(self.config.algo, objective, activation, layers))
        played = self._play(policy)
        cost = float(played.cost.mean())
        accuracy = float((played.placement == played.optimum).mean())
        row = {
            "step": float(model.num_timesteps),
            "seconds": self.seconds,
            "accuracy": accuracy,
            "cost": cost,
            "regret_maui_true": cost - self._true_cost,
            "gap_closed": self._gap_closed(cost),
            "offloaded": float(played.placement.mean()),
        }
        self.curve.append(row)
        for name in ("accuracy", "cost", "regret_maui_true", "gap_closed", "offloaded"):
            self.logger.record(f"validation/{name}", row[name])
        if self._board is not None:
            kept = min(self.curve, key=lambda row: row["cost"])
            self._board.check(model.num_timesteps, len(self.curve), played, policy, kept)
        self._log_training()
        self.logger.dump(model.num_timesteps)
        self._bar.set_postfix(accuracy=f"{accuracy:.1%}", cost=f"{cost:.3f}")
        if self._best is None or cost < self._best.cost:
            weights = {
                name: value.numpy().copy() for name, value in model.policy.state_dict().items()
            }
            self._best = _Best(cost, accuracy, row["offloaded"], model.num_timesteps, weights)
        if self._on_check is not None:
            self._on_check(row)

    def show_on(self, writer: SummaryWriter) -> Board:
        """Show the checks from now on in TensorBoard, too; setting that up is not training."""
        start = time.perf_counter()
        from agents.tensorboard_board import Board

        links = self._scenario.links.profile
        self._board = Board(self.config, self.env.table, writer, links, self._truth.cost)
        self._start += time.perf_counter() - start
        return self._board

    @property
    def seconds(self) -> float:
        """Seconds of training so far, those before a resumption counted in."""
        return time.perf_counter() - self._start

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """What the watch has seen so far: as JSON holds it, and arrays."""
        best = self.best
        facts = {
            "curve": list(self.curve),
            "next_check": self._next_check,
            "seconds": self.seconds,
            "sums": self._sums.tolist(),
            "best": {
                "cost": best.cost,
                "accuracy": best.accuracy,
                "offloaded": best.offloaded,
                "step": best.step,
            },
        }
        return facts, {f"best/{name}": value for name, value in best.weights.items()}

    def restore(self, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Go on where another watch stood."""
        weights = {name.removeprefix("best/"): value for name, value in arrays.items()}
        self.curve = [dict(row) for row in facts["curve"]]
        self._next_check = int(facts["next_check"])
        self._start = time.perf_counter() - float(facts["seconds"])
        self._sums = np.array(facts["sums"], dtype=float)
        self._best = _Best(**facts["best"], weights=weights)

    def _gap_closed(self, cost: float) -> float:
        """Share of the way from the best threshold rule to maui-true; NaN if there is no way."""
        gap = self._static_cost - self._true_cost
        return (self._static_cost - cost) / gap if gap > 0 else float("nan")

    def _log_training(self) -> None:
        decisions = self._sums[0]
        if decisions == 0:
            return
        episode = self.config.env.episode_tasks
        self.logger.record("offload/return", -self._sums[4] / decisions * episode)
        self.logger.record("offload/accuracy", self._sums[1] / decisions)
        self.logger.record("offload/regret", self._sums[2] / decisions)
        self.logger.record("offload/share_offloaded", self._sums[3] / decisions)
        self._sums[:] = 0.0

    @property
    def best(self) -> _Best:
        """The weights with the least validation cost."""
        if self._best is None:
            raise RuntimeError("no check has been made yet")
        return self._best

    def load_best(self, model: BaseAlgorithm) -> None:
        """Give the model the best weights; its optimiser stays where it is."""
        model.policy.load_state_dict(
            {name: torch.from_numpy(value) for name, value in self.best.weights.items()}
        )

    def seconds_to(self, accuracy: float) -> float | None:
        """Seconds of training until the first check at that accuracy; None: not reached."""
        return next((row["seconds"] for row in self.curve if row["accuracy"] >= accuracy), None)

    def close_bar(self) -> None:
        """Leave the bar as it stands."""
        self._bar.close()
