"""What a training's state is made of: taken from its parts for a checkpoint, and put back.

Taken between two rollouts, where the rollout buffer of PPO and A2C holds nothing that is still
needed. The environment's episode is drawn and played again from its actions; the observations it
then shows are compared with those that were stored, so a world that has changed since is noticed.
"""

from __future__ import annotations

import dataclasses
import json
import platform
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import stable_baselines3
import torch
from numpy.typing import NDArray

from agents.checkpoint import Checkpoint, CheckpointError
from envs.batched import BatchedOffloadVecEnv, EnvState

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

    from agents.training import TrainConfig
    from agents.training_watch import TrainingWatch

Arrays = dict[str, NDArray[Any]]

COUNTERS = (
    "num_timesteps",
    "_episode_num",
    "_n_updates",
    "_current_progress_remaining",
    "_n_calls",
    "exploration_rate",
)
"""Numbers of a stable-baselines3 model that training changes; some algorithms lack some."""
_REPLAY = ("observations", "actions", "rewards", "dones", "timeouts")


def take_state(
    config: TrainConfig, model: BaseAlgorithm, env: BatchedOffloadVecEnv, watch: TrainingWatch
) -> Checkpoint:
    """Copy the whole state of a training between two rollouts."""
    world = env.state()
    seen, watched = watch.state()
    optimiser = _optimiser(model).state_dict()
    arrays: Arrays = {
        "torch_rng": torch.get_rng_state().numpy(),
        "last_obs": np.array(model._last_obs),
        "last_episode_starts": np.array(model._last_episode_starts),
        "env/played": world.played,
        **_policy_arrays(model),
        **{f"watch/{name}": value for name, value in watched.items()},
    }
    for index, parts in optimiser["state"].items():
        for name, value in parts.items():
            arrays[f"optimiser/{index}/{name}"] = value.numpy().copy()
    facts = {
        "config": settings(config),
        "versions": versions(),
        "counters": {name: getattr(model, name) for name in COUNTERS if hasattr(model, name)},
        "learning_rates": [group["lr"] for group in optimiser["param_groups"]],
        "env_rng": world.rng_at_start,
        "action_rng": model.action_space.np_random.bit_generator.state,
        "python_rng": random.getstate(),
        "watch": seen,
        **_log_facts(model),
        **_take_numpy_rng(arrays),
        **_take_replay(model, arrays),
    }
    return Checkpoint(facts, arrays)


def put_state(
    checkpoint: Checkpoint,
    config: TrainConfig,
    model: BaseAlgorithm,
    env: BatchedOffloadVecEnv,
    watch: TrainingWatch,
) -> list[str]:
    """Put a state back into parts newly made of the same settings; returns what a user must know.

    Raises:
        CheckpointError: it does not fit these settings, or the world has changed since.
    """
    facts = checkpoint.facts
    _check_settings(facts.get("config"), settings(config))
    try:
        _put_model(checkpoint, model)
        shown = env.restore(EnvState(facts["env_rng"], checkpoint.arrays["env/played"]))
        if not np.array_equal(shown, model._last_obs):  # type: ignore[arg-type]
            raise CheckpointError(
                "the world is not the one the checkpoint was trained in (its code, the profile "
                "table or a trace has changed since): train anew"
            )
        watched = {
            name.removeprefix("watch/"): value
            for name, value in checkpoint.arrays.items()
            if name.startswith("watch/")
        }
        watch.restore(facts["watch"], watched)
        _put_rngs(checkpoint, model)
    except (KeyError, TypeError, ValueError, RuntimeError, IndexError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(
            f"the checkpoint does not fit: {type(error).__name__}: {reason}"
        ) from error
    now, then = versions(), facts.get("versions")
    if now == then:
        return []
    return [f"the checkpoint was written under {then}, this is {now}: the last bits may differ"]


def settings(config: TrainConfig) -> dict[str, Any]:
    """A training's settings as JSON gives them back, without the steps, which may be raised."""
    values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    del values["steps"]
    return values


def versions() -> dict[str, str]:
    """Of what the bits of a result depend on."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": str(torch.__version__),
        "stable-baselines3": stable_baselines3.__version__,
    }


def _check_settings(stored: Any, wanted: dict[str, Any]) -> None:
    if not isinstance(stored, dict):
        raise CheckpointError("the checkpoint does not say what settings it was trained with")
    for name in sorted({*stored, *wanted}):
        if stored.get(name) != wanted.get(name):
            raise CheckpointError(
                f"the checkpoint was trained with other settings: {name} was "
                f"{stored.get(name)!r}, now {wanted.get(name)!r}"
            )


def _optimiser(model: BaseAlgorithm) -> torch.optim.Optimizer:
    optimiser: torch.optim.Optimizer = model.policy.optimizer
    return optimiser


def _policy_arrays(model: BaseAlgorithm) -> Arrays:
    weights = model.policy.state_dict()
    return {f"policy/{name}": value.numpy().copy() for name, value in weights.items()}


def _log_facts(model: BaseAlgorithm) -> dict[str, Any]:
    """What was logged since the log was last written."""
    log = model.logger
    return {
        "logged": {name: float(value) for name, value in log.name_to_value.items()},
        "logged_where": dict(log.name_to_excluded),
    }


def _take_numpy_rng(arrays: Arrays) -> dict[str, Any]:
    state = np.random.get_state(legacy=False)
    arrays["numpy_rng"] = state["state"]["key"].copy()
    state["state"].pop("key")
    return {"numpy_rng": state}


def _take_replay(model: BaseAlgorithm, arrays: Arrays) -> dict[str, Any]:
    """The filled part of a replay buffer, if the algorithm has one; see :func:`_successors`."""
    replay = getattr(model, "replay_buffer", None)
    if replay is None:
        return {}
    filled = replay.size()
    for name in _REPLAY:
        arrays[f"replay/{name}"] = getattr(replay, name)[:filled].copy()
    return {"replay": {"position": replay.pos, "full": replay.full}}


def _put_model(checkpoint: Checkpoint, model: Any) -> None:
    facts, arrays = checkpoint.facts, checkpoint.arrays
    weights = {
        name: torch.from_numpy(arrays[f"policy/{name}"]) for name in model.policy.state_dict()
    }
    model.policy.load_state_dict(weights)
    optimiser = _optimiser(model)
    groups = optimiser.state_dict()["param_groups"]
    for group, rate in zip(groups, facts["learning_rates"], strict=True):
        group["lr"] = rate
    parts: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in arrays.items():
        if name.startswith("optimiser/"):
            _, index, part = name.split("/")
            parts.setdefault(int(index), {})[part] = torch.from_numpy(value)
    optimiser.load_state_dict({"state": parts, "param_groups": groups})
    for name in COUNTERS:
        if hasattr(model, name):
            setattr(model, name, facts["counters"][name])
    model._last_obs = arrays["last_obs"]
    model._last_episode_starts = arrays["last_episode_starts"]
    if "replay" in facts:
        replay = model.replay_buffer
        for name in _REPLAY:
            stored = arrays[f"replay/{name}"]
            getattr(replay, name)[: len(stored)] = stored
        replay.pos, replay.full = facts["replay"]["position"], facts["replay"]["full"]
        following = _successors(replay, model._last_obs)
        replay.next_observations[: len(following)] = following
    for name, value in facts["logged"].items():
        model.logger.record(name, value, exclude=facts["logged_where"][name])


def _successors(replay: Any, last_obs: NDArray[np.float32]) -> NDArray[np.float32]:
    """The next observation of each row of a replay buffer; not stored, to halve the file.

    It is the following row's observation, the environment's present one for the newest row, and
    zeros at an episode's end, as :class:`envs.task_offloading.TaskOffloadingEnv` has it.
    """
    filled = replay.size()
    following = np.roll(replay.observations[:filled], -1, axis=0)
    if filled:
        following[replay.pos - 1] = last_obs
    following[replay.dones[:filled] == 1.0] = 0.0
    return following


def _put_rngs(checkpoint: Checkpoint, model: BaseAlgorithm) -> None:
    facts, arrays = checkpoint.facts, checkpoint.arrays
    version, words, gauss = facts["python_rng"]
    random.setstate((version, tuple(words), gauss))
    legacy = facts["numpy_rng"]
    np.random.set_state({**legacy, "state": {**legacy["state"], "key": arrays["numpy_rng"]}})
    torch.set_rng_state(torch.from_numpy(arrays["torch_rng"]))
    model.action_space.np_random.bit_generator.state = facts["action_rng"]
