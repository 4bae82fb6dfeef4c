"""The same dynamics for many lanes at once, as a vectorised environment of stable-baselines3."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from envs.calibration import table_of
from envs.config import EnvConfig
from envs.dynamics import OffloadDynamics, StepResult
from envs.scenario import draw_scenario
from envs.task_offloading import observation_space
from envs.workload import WorkloadTable
from offload.features import N_FEATURES
from offload.types import FloatArray


@dataclass(frozen=True, slots=True)
class EnvState:
    """Where an environment stands within its episode.

    Attributes:
        rng_at_start: state of the generator before the episode was drawn; numbers and text only.
        played: the actions since, shape (steps, lanes), int8.
    """

    rng_at_start: dict[str, Any]
    played: NDArray[np.int8]


class BatchedOffloadVecEnv(VecEnv):
    """SB3 VecEnv over :class:`envs.dynamics.OffloadDynamics`.

    All lanes start and end their episodes together and reset by themselves. The per-step terms of
    every lane are in :attr:`last_result`; the info dictionaries are empty but at an episode's end,
    where they hold ``terminal_observation`` as SB3 wants it: a thousand dictionaries of floats a
    step would cost more than the step.

    Args:
        n_lanes: episodes side by side.
        config, profile_table: as for :class:`envs.task_offloading.TaskOffloadingEnv`.
        seed: seed of all randomness.
        relative_reward: add to each reward the cost that maui-true pays for the same task in its
            own run of the same scenario. No decision changes that amount, so the best policy stays
            the same, but most of what a reward owes to luck (which tasks, which link) is gone.
    """

    def __init__(
        self,
        n_lanes: int,
        config: EnvConfig | None = None,
        profile_table: Path | None = None,
        seed: int | None = None,
        *,
        relative_reward: bool = False,
    ) -> None:
        self.config = config or EnvConfig()
        self.table = WorkloadTable.of(table_of(self.config, profile_table), self.config.workload)
        self.rng = np.random.default_rng(seed)
        self.last_result: StepResult | None = None
        self.last_actions: NDArray[np.int64] = np.zeros(n_lanes, dtype=np.int64)
        self._relative = relative_reward
        self._rng_at_start: dict[str, Any] = {}
        self._played: list[NDArray[np.int8]] = []
        self._dynamics: OffloadDynamics | None = None
        self._oracle: OffloadDynamics | None = None
        self.render_mode = None
        super().__init__(n_lanes, observation_space(), spaces.Discrete(2))
        self._no_infos: list[dict[str, Any]] = [{} for _ in range(n_lanes)]

    def _start(self) -> None:
        self._rng_at_start = dict(self.rng.bit_generator.state)
        self._played = []
        scenario = draw_scenario(self.rng, self.config, self.table, self.num_envs)
        self._dynamics = OffloadDynamics(scenario, self.config)
        self._oracle = OffloadDynamics(scenario, self.config) if self._relative else None

    def _observation(self) -> NDArray[np.float32]:
        if self._dynamics is None:
            raise RuntimeError("call reset() before step()")
        return self._dynamics.observation()

    def _baseline_cost(self) -> FloatArray | float:
        """What maui-true pays for this task in its own run of the same scenario."""
        if self._oracle is None:
            return 0.0
        return self._oracle.step(None).cost

    def reset(self) -> NDArray[np.float32]:
        """Start an episode in every lane; observations of shape (n_lanes, N_FEATURES)."""
        seed = self._seeds[0]
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self._reset_seeds()
        self._reset_options()
        self._start()
        return self._observation()

    def step_async(self, actions: NDArray[np.int64]) -> None:
        """Take the actions, shape (n_lanes,)."""
        self.last_actions = np.asarray(actions).reshape(self.num_envs)

    def step_wait(self) -> VecEnvStepReturn:
        """Place every lane's task; lanes reset by themselves at the episode's end."""
        if self._dynamics is None:
            raise RuntimeError("call reset() before step()")
        self._played.append(self.last_actions.astype(np.int8))
        result = self._dynamics.step(self.last_actions)
        self.last_result = result
        rewards = (self._baseline_cost() - result.cost).astype(np.float32)
        if not self._dynamics.done:
            dones = np.zeros(self.num_envs, dtype=bool)
            return self._observation(), rewards, dones, self._no_infos
        final = np.zeros(N_FEATURES, dtype=np.float32)
        infos: list[dict[str, Any]] = [
            {"terminal_observation": final, "TimeLimit.truncated": False}
            for _ in range(self.num_envs)
        ]
        self._start()
        return self._observation(), rewards, np.ones(self.num_envs, dtype=bool), infos

    def state(self) -> EnvState:
        """Where the environment stands, enough for :meth:`restore`."""
        played = np.array(self._played, dtype=np.int8).reshape(-1, self.num_envs)
        return EnvState(self._rng_at_start, played)

    def restore(self, state: EnvState) -> NDArray[np.float32]:
        """Go to where another environment of the same settings stood; returns the observations.

        The episode is drawn and played again, so nothing of it can be forgotten.
        """
        self.rng.bit_generator.state = state.rng_at_start
        self._reset_seeds()
        self._start()
        for actions in state.played:
            self.step(actions)
        return self._observation()

    def close(self) -> None:
        """Nothing to release."""

    def _lanes(self, indices: int | Iterable[int] | None) -> Sequence[int]:
        return list(self._get_indices(indices))

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """The attribute of this object, once for each lane asked for."""
        return [getattr(self, attr_name) for _ in self._lanes(indices)]

    def set_attr(
        self, attr_name: str, value: Any, indices: int | Iterable[int] | None = None
    ) -> None:
        """Refused: lanes share one object, so an attribute of one lane does not exist."""
        raise AttributeError(f"lanes cannot have attributes of their own: {attr_name}")

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: int | Iterable[int] | None = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """Refused: there is no environment object a lane."""
        raise AttributeError(f"lanes have no methods of their own: {method_name}")

    def env_is_wrapped(
        self, wrapper_class: type[Any], indices: int | Iterable[int] | None = None
    ) -> list[bool]:
        """False for every lane: nothing is wrapped."""
        return [False for _ in self._lanes(indices)]
