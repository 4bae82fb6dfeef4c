"""The Gymnasium environment: its contract, its seeds, and what its numbers must satisfy."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check

from envs import ENV_ID
from envs.config import EnvConfig
from envs.scenario import draw_scenario
from envs.task_offloading import TaskOffloadingEnv
from envs.workload import WorkloadTable
from offload.errors import ConfigError, UnknownNameError
from offload.features import N_FEATURES
from offload.types import Objective


def make(table: Path, config: EnvConfig | None = None) -> gymnasium.Env[Any, Any]:
    return gymnasium.make(ENV_ID, config=config, profile_table=table)


def play(
    env: gymnasium.Env[Any, Any], actions: list[int], seed: int | None = None
) -> list[tuple[Any, ...]]:
    """Every observation, reward and info of an episode, in plain types."""
    observation, info = env.reset(seed=seed)
    seen: list[tuple[Any, ...]] = [(observation.tolist(), info)]
    for action in actions:
        observation, reward, terminated, truncated, info = env.step(action)
        seen.append((observation.tolist(), reward, terminated, truncated, info))
    return seen


def test_both_checkers_pass_without_a_warning(profile_table: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gymnasium_check(make(profile_table).unwrapped)
        sb3_check(make(profile_table).unwrapped)


def test_observations_stay_in_their_space(profile_table: Path, busy_config: EnvConfig) -> None:
    env = make(profile_table, busy_config)
    rng = np.random.default_rng(0)
    for seed in range(5):
        for observation, *_ in play(env, rng.integers(2, size=64).tolist(), seed):
            array = np.array(observation, dtype=np.float32)
            assert env.observation_space.contains(array)
            assert np.isfinite(array).all()


def test_the_same_seed_is_the_same_episode_and_another_is_not(profile_table: Path) -> None:
    actions = np.random.default_rng(1).integers(2, size=64).tolist()
    env = make(profile_table)
    first = play(env, actions, seed=5)
    assert play(make(profile_table), actions, seed=5) == first
    assert play(env, actions, seed=5) == first
    assert play(env, actions, seed=6) != first
    assert play(env, actions) != first, "without a seed the next episode is a new one"


def test_a_pickled_env_goes_on_where_it_was(profile_table: Path, busy_config: EnvConfig) -> None:
    env: gymnasium.Env[Any, Any] = TaskOffloadingEnv(busy_config, profile_table)
    play(env, [0, 1] * 12, seed=2)
    twin = pickle.loads(pickle.dumps(env))  # noqa: S301 (our own bytes)
    for action in [1, 0, 0, 1] * 10:
        ours, theirs = env.step(action), twin.step(action)
        np.testing.assert_array_equal(ours[0], theirs[0])
        assert ours[1:] == theirs[1:]
    np.testing.assert_array_equal(env.reset()[0], twin.reset()[0])


def test_an_episode_ends_after_its_tasks_and_not_before(profile_table: Path) -> None:
    env = make(profile_table, EnvConfig(episode_tasks=7))
    seen = play(env, [0, 1, 0, 1, 0, 1, 0], seed=0)
    assert [step[2] for step in seen[1:]] == [False] * 6 + [True]
    assert not any(step[3] for step in seen[1:])
    assert seen[-1][0] == [0.0] * N_FEATURES
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.unwrapped.step(0)


def test_a_step_before_reset_is_refused(profile_table: Path) -> None:
    with pytest.raises(gymnasium.error.ResetNeeded):
        TaskOffloadingEnv(None, profile_table).step(np.int64(0))


@pytest.mark.parametrize("action", [2, -1, 0.5, "1", None])
def test_a_foreign_action_is_refused(profile_table: Path, action: Any) -> None:
    env = TaskOffloadingEnv(None, profile_table)
    env.reset(seed=0)
    with pytest.raises(ConfigError, match=r"not 0 \(local\) or 1 \(edge\)"):
        env.step(action)


def test_wrong_options_are_refused(profile_table: Path, workload_table: WorkloadTable) -> None:
    env = TaskOffloadingEnv(None, profile_table)
    with pytest.raises(ConfigError, match="senario"):
        env.reset(options={"senario": None})
    with pytest.raises(ConfigError, match="one lane"):
        env.reset(options={"scenario": "congested"})
    two = draw_scenario(np.random.default_rng(0), EnvConfig(), workload_table, lanes=2)
    with pytest.raises(ConfigError, match="one lane"):
        env.reset(options={"scenario": two})


def test_misspelt_settings_are_refused(profile_table: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'congested'"):
        EnvConfig(profiles=("congestd",))
    with pytest.raises(TypeError, match="duration"):
        gymnasium.make(ENV_ID, duration=3)


@pytest.mark.parametrize("objective", list(Objective))
def test_the_terms_of_a_step_fit_together(
    profile_table: Path, busy_config: EnvConfig, objective: Objective
) -> None:
    env = make(profile_table, replace(busy_config, objective=objective))
    actions = np.random.default_rng(3).integers(2, size=64).tolist()
    fallbacks = 0.0
    for seed in range(4):
        seen = play(env, actions, seed)
        assert seen[0][1]["profile"] in busy_config.profiles
        for action, (_, reward, _, _, info) in zip(actions, seen[1:], strict=True):
            assert reward == -info["cost"]
            assert info["cost"] == (info["edge_cost"] if action else info["local_cost"])
            assert 0.0 < info["cost"] <= busy_config.cost_cap
            assert info["regret"] == info["cost"] - min(info["local_cost"], info["edge_cost"])
            assert info["regret"] >= 0.0
            assert info["correct"] == float(action == info["optimum"])
            assert info["seconds"] > 0.0
            assert info["energy_j"] > 0.0
            assert info["fell_back"] in ((0.0, 1.0) if action else (0.0,))
            fallbacks += info["fell_back"]
    assert fallbacks > 0


@pytest.mark.parametrize("objective", list(Objective))
def test_always_local_costs_one_at_every_step(
    profile_table: Path, busy_config: EnvConfig, objective: Objective
) -> None:
    env = make(profile_table, replace(busy_config, objective=objective, low_battery_share=0.5))
    for seed in range(5):
        for _, reward, _, _, info in play(env, [0] * 64, seed)[1:]:
            assert info["cost"] == pytest.approx(1.0, rel=1e-12)
            assert reward == pytest.approx(-1.0, rel=1e-12)


def test_a_cost_counts_at_most_the_cap_but_seconds_and_joules_are_not_cut(
    profile_table: Path,
) -> None:
    free = EnvConfig(profiles=("edge_of_coverage",), cost_cap=1e9, episode_tasks=40)
    uncut = play(make(profile_table, free), [1] * 40, seed=0)[1:]
    cut = play(make(profile_table, replace(free, cost_cap=2.0)), [1] * 40, seed=0)[1:]
    assert max(step[4]["cost"] for step in uncut) > 3.0
    for (*_, before), (*_, after) in zip(uncut, cut, strict=True):
        assert after["cost"] == min(before["cost"], 2.0)
        assert (after["seconds"], after["energy_j"]) == (before["seconds"], before["energy_j"])
