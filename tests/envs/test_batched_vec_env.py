"""Many lanes at once give what each alone gives, and keep SB3's contract."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from envs.batched import BatchedOffloadVecEnv, EnvState
from envs.config import EnvConfig
from envs.scenario import draw_scenario
from envs.task_offloading import TaskOffloadingEnv
from envs.workload import WorkloadTable
from offload.features import N_FEATURES
from offload.types import Objective


@pytest.mark.parametrize("objective", list(Objective))
def test_each_lane_replays_alone(
    profile_table: Path,
    workload_table: WorkloadTable,
    busy_config: EnvConfig,
    objective: Objective,
) -> None:
    config = replace(busy_config, objective=objective)
    lanes, steps = 6, config.episode_tasks
    batched = BatchedOffloadVecEnv(lanes, config, profile_table, seed=21)
    scenario = draw_scenario(np.random.default_rng(21), config, workload_table, lanes)
    actions = np.random.default_rng(2).integers(2, size=(steps, lanes))

    observations = [batched.reset()]
    rewards, dones = [], []
    for row in actions:
        observation, reward, done, _ = batched.step(row)
        observations.append(observation)
        rewards.append(reward)
        dones.append(done)

    single = TaskOffloadingEnv(config, profile_table)
    for lane in range(lanes):
        observation, _ = single.reset(options={"scenario": scenario.lane(lane)})
        for step in range(steps):
            np.testing.assert_array_equal(observation, observations[step][lane])
            observation, reward, done, _, _ = single.step(actions[step, lane])
            assert np.float32(reward) == rewards[step][lane]
            assert done == dones[step][lane]


def test_one_lane_and_the_single_env_draw_alike(
    profile_table: Path, busy_config: EnvConfig
) -> None:
    config = replace(busy_config, episode_tasks=10)
    batched = BatchedOffloadVecEnv(1, config, profile_table, seed=8)
    single = TaskOffloadingEnv(config, profile_table)
    many, (one, _) = batched.reset(), single.reset(seed=8)
    for step in range(30):
        np.testing.assert_array_equal(many[0], one)
        action = step % 3 % 2
        many, rewards, dones, _ = batched.step(np.array([action]))
        one, reward, done, _, _ = single.step(np.int64(action))
        assert (rewards[0], dones[0]) == (np.float32(reward), done)
        if done:
            one, _ = single.reset()


def test_lanes_reset_by_themselves_and_hand_over_the_last_observation(
    profile_table: Path,
) -> None:
    env = BatchedOffloadVecEnv(3, EnvConfig(episode_tasks=4), profile_table, seed=0)
    env.reset()
    for step in range(12):
        observation, rewards, dones, infos = env.step(np.zeros(3, dtype=np.int64))
        assert observation.shape == (3, N_FEATURES)
        assert observation.dtype == rewards.dtype == np.float32
        assert rewards.shape == dones.shape == (3,)
        assert dones.dtype == bool
        at_end = step % 4 == 3
        assert dones.tolist() == [at_end] * 3
        assert len(infos) == 3
        for info in infos:
            if at_end:
                np.testing.assert_array_equal(info["terminal_observation"], np.zeros(N_FEATURES))
                assert info["TimeLimit.truncated"] is False
            else:
                assert "terminal_observation" not in info
        assert np.all(observation.sum(axis=1) > 0), "the observation is the next episode's first"


def test_an_observation_that_was_kept_never_changes(profile_table: Path) -> None:
    env = BatchedOffloadVecEnv(4, EnvConfig(episode_tasks=5), profile_table, seed=0)
    kept = [env.reset()]
    copies = [kept[0].copy()]
    for step in range(12):
        kept.append(env.step(np.full(4, step % 2))[0])
        copies.append(kept[-1].copy())
    for held, copy in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(held, copy)


def test_a_seed_repeats_the_run(profile_table: Path) -> None:
    def run(env: BatchedOffloadVecEnv) -> Any:
        first = env.reset()
        return np.concatenate([first, *(env.step(np.ones(4, dtype=int))[0] for _ in range(6))])

    config = EnvConfig(episode_tasks=4)
    env = BatchedOffloadVecEnv(4, config, profile_table, seed=3)
    first = run(env)
    np.testing.assert_array_equal(first, run(BatchedOffloadVecEnv(4, config, profile_table, 3)))
    assert not np.array_equal(first, run(BatchedOffloadVecEnv(4, config, profile_table, 4)))
    assert not np.array_equal(first, run(env)), "without a new seed the next run is another"
    env.seed(3)
    np.testing.assert_array_equal(first, run(env))


def test_no_action_changes_what_a_relative_reward_adds(
    profile_table: Path, busy_config: EnvConfig
) -> None:
    config = replace(busy_config, episode_tasks=16)
    added = []
    for policy_seed in (0, 1):
        rng = np.random.default_rng(policy_seed)
        plain = BatchedOffloadVecEnv(8, config, profile_table, seed=5)
        relative = BatchedOffloadVecEnv(8, config, profile_table, seed=5, relative_reward=True)
        np.testing.assert_array_equal(plain.reset(), relative.reset())
        differences = []
        for _ in range(40):
            actions = rng.integers(2, size=8)
            seen, reward, _, _ = plain.step(actions)
            also_seen, shifted, _, _ = relative.step(actions)
            np.testing.assert_array_equal(seen, also_seen)
            differences.append(shifted - reward)
        added.append(np.array(differences))
    np.testing.assert_allclose(added[0], added[1], atol=2e-6)
    assert added[0].min() > 0.0, "it adds the oracle's cost"


def test_a_step_before_reset_is_refused(profile_table: Path) -> None:
    with pytest.raises(RuntimeError, match="reset"):
        BatchedOffloadVecEnv(2, None, profile_table).step(np.zeros(2, dtype=int))


def test_what_a_batch_cannot_do_it_refuses(profile_table: Path) -> None:
    env = BatchedOffloadVecEnv(2, None, profile_table)
    with pytest.raises(AttributeError):
        env.set_attr("config", None)
    with pytest.raises(AttributeError):
        env.env_method("reset")
    assert env.get_attr("num_envs", [1]) == [2]
    assert env.env_is_wrapped(object) == [False, False]


@pytest.mark.parametrize("before", [0, 5, 8, 19])
def test_a_restored_environment_goes_on_as_the_first_would(
    profile_table: Path, before: int
) -> None:
    """At an episode's start, in the middle, right after a reset, and episodes later."""
    config = EnvConfig(episode_tasks=8)

    def make(seed: int) -> BatchedOffloadVecEnv:
        env = BatchedOffloadVecEnv(4, config, profile_table, seed, relative_reward=True)
        env.reset()
        return env

    first, other = make(1), make(2)
    actions = np.random.default_rng(0).integers(0, 2, size=(before + 20, 4))
    for taken in actions[:before]:
        first.step(taken)
    state = first.state()
    assert state.played.shape == (before % 8, 4)
    stored = json.loads(json.dumps(state.rng_at_start))
    observation = other.restore(EnvState(stored, state.played.copy()))
    np.testing.assert_array_equal(observation, first._observation())
    for taken in actions[before:]:
        seen, rewards, dones, _ = first.step(taken)
        again, rewards_again, dones_again, _ = other.step(taken)
        np.testing.assert_array_equal(seen, again)
        np.testing.assert_array_equal(rewards, rewards_again)
        np.testing.assert_array_equal(dones, dones_again)
