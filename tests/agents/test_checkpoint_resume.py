"""A training that was ended and resumed comes to the very bits of one that never stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trained_runs import assert_same_bits

from agents.checkpoint import CheckpointError, read_checkpoint, stored_checkpoints
from agents.run_directory import held
from agents.thresholds import ThresholdPolicy
from agents.train_config import TrainConfig, resumed_config
from agents.training import TrainResult, train
from envs.config import EnvConfig
from offload.errors import ConfigError


@pytest.fixture
def quiet(quick_training: None, tmp_path: Path) -> Callable[..., TrainResult]:
    def run(config: TrainConfig, **options: Any) -> TrainResult:
        return train(config, tmp_path, tensorboard=False, progress=False, **options)

    return run


def _stop_at(asked: int) -> Callable[[], bool]:
    """Asks to stop when it is itself asked for that time."""
    count = iter(range(1, 1_000_000))
    return lambda: next(count) >= asked


@pytest.mark.parametrize(
    ("algorithm", "first", "then"), [("ppo", 10, 6), ("dqn", 30, 45), ("a2c", 10, 6)]
)
def test_stopped_twice_and_resumed_it_ends_as_if_never_interrupted(
    sharp_world: EnvConfig,
    quiet: Callable[..., TrainResult],
    algorithm: str,
    first: int,
    then: int,
) -> None:
    """Stopped in the middle of episodes, DQN after it has begun to learn."""
    config = TrainConfig(algorithm, seed=3, steps=6000, lanes=32, env=sharp_world)
    straight = quiet(config)
    stopped = quiet(config, stop=_stop_at(first))
    assert stopped.interrupted
    assert 0 < stopped.steps < straight.steps
    run = stopped.folder
    again = quiet(resumed_config(run, None), resume=run, stop=_stop_at(then))
    assert again.interrupted
    assert stopped.steps < again.steps < straight.steps
    done = quiet(resumed_config(run, None), resume=run)
    assert not done.interrupted
    assert done.folder == run
    assert done.steps == straight.steps
    assert_same_bits(straight.folder, run)
    curve = (run / "curve.csv").read_text().splitlines()
    assert len(curve) == len((straight.folder / "curve.csv").read_text().splitlines())
    assert len(json.loads((run / "origin.json").read_text())["resumed"]) == 2


def _scalars(run: Path, tag: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_tensorboard_shows_one_curve_as_if_never_interrupted(
    quick_training: None, sharp_world: EnvConfig, tmp_path: Path
) -> None:
    """The check that an interruption makes is logged too, and forgotten again."""
    config = TrainConfig("ppo", seed=3, steps=3000, lanes=16, env=sharp_world)
    straight = train(config, tmp_path, progress=False)
    stopped = train(config, tmp_path, progress=False, stop=_stop_at(16))
    run = stopped.folder
    assert _scalars(run, "validation/cost")[-1][0] == stopped.steps
    train(resumed_config(run, None), tmp_path, resume=run, progress=False)
    for tag in ("validation/cost", "validation/accuracy", "offload/return", "train/value_loss"):
        assert _scalars(run, tag) == _scalars(straight.folder, tag)
    assert stopped.steps not in [step for step, _ in _scalars(run, "validation/cost")]


def _damage(path: Path) -> None:
    held = bytearray(path.read_bytes())
    held[len(held) // 2] ^= 0x40
    path.write_bytes(held)


@pytest.fixture
def stopped(sharp_world: EnvConfig, quiet: Callable[..., TrainResult]) -> Path:
    """A run that was stopped early, with two checkpoints."""
    config = TrainConfig("ppo", seed=3, steps=3000, lanes=16, env=sharp_world)
    return quiet(config, stop=_stop_at(6), checkpoint_every_s=0.0).folder


def test_two_checkpoints_are_kept_and_one_of_an_ended_run(
    stopped: Path, quiet: Callable[..., TrainResult]
) -> None:
    assert [path.name for path in stored_checkpoints(stopped)] == [
        "000000000640.npz",
        "000000000512.npz",
    ]
    quiet(resumed_config(stopped, None), resume=stopped)
    assert [path.name for path in stored_checkpoints(stopped)] == ["000000003072.npz"]


def test_the_checkpoint_before_a_damaged_one_leads_to_the_same_end(
    sharp_world: EnvConfig,
    stopped: Path,
    quiet: Callable[..., TrainResult],
    capsys: pytest.CaptureFixture[str],
) -> None:
    newest, _ = stored_checkpoints(stopped)
    _damage(newest)
    done = quiet(resumed_config(stopped, None), resume=stopped)
    said = capsys.readouterr().err
    assert f"{newest} is damaged" in said
    assert "the one before it is used" in said
    straight = quiet(TrainConfig("ppo", seed=3, steps=3000, lanes=16, env=sharp_world))
    assert_same_bits(straight.folder, done.folder)


def _rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the facts of a checkpoint, as another version or a stranger might have written it."""
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    facts = json.loads(arrays["facts"].tobytes())
    change(facts)
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
    with path.open("wb") as file:
        np.savez(file, **arrays)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda facts: facts.update(format=2), "is of format 2, this version reads 1"),
        (lambda facts: facts["config"].update(seed=4), "seed was 4, now 3"),
        (lambda facts: facts["env_rng"]["state"].update(state=1), "the world is not the one"),
        (lambda facts: facts.pop("counters"), "does not fit: KeyError"),
        (lambda facts: facts.update(watch=3), "does not fit: TypeError"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_and_nothing_is_lost(
    stopped: Path,
    quiet: Callable[..., TrainResult],
    change: Callable[[dict[str, Any]], None],
    said: str,
) -> None:
    newest, _ = stored_checkpoints(stopped)
    _rewrite(newest, change)
    before = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError, match=said) as caught:
        quiet(resumed_config(stopped, None), resume=stopped)
    assert "\n" not in str(caught.value)
    assert before == {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}


def test_another_runs_checkpoint_is_refused(
    sharp_world: EnvConfig, stopped: Path, quiet: Callable[..., TrainResult]
) -> None:
    other = quiet(TrainConfig("dqn", seed=3, steps=200, lanes=16, env=sharp_world)).folder
    for path in stored_checkpoints(stopped):
        path.write_bytes(stored_checkpoints(other)[0].read_bytes())
    with pytest.raises(CheckpointError, match="algo was 'dqn', now 'ppo'"):
        quiet(resumed_config(stopped, None), resume=stopped)


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("a pickle was run",)


def test_a_checkpoint_that_holds_code_is_refused_and_not_run(
    stopped: Path, quiet: Callable[..., TrainResult], capsys: pytest.CaptureFixture[str]
) -> None:
    for path in stored_checkpoints(stopped):
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files}
        with path.open("wb") as file:
            np.savez(file, **{**arrays, "torch_rng": np.array([_Bomb()], dtype=object)})
    with pytest.raises(CheckpointError, match=r"no checkpoint of .* can be read"):
        quiet(resumed_config(stopped, None), resume=stopped)
    assert "a pickle was run" not in capsys.readouterr().out


def test_a_run_without_a_checkpoint_and_one_that_is_done_say_so(
    sharp_world: EnvConfig, tmp_path: Path, quiet: Callable[..., TrainResult]
) -> None:
    config = TrainConfig("ppo", steps=200, lanes=16, env=sharp_world)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        quiet(config, resume=tmp_path / "empty")
    done = quiet(config)
    with pytest.raises(ConfigError, match="has trained 256 of 200 steps; name more with --steps"):
        quiet(resumed_config(done.folder, None), resume=done.folder)
    longer = quiet(resumed_config(done.folder, 500), resume=done.folder)
    assert longer.steps == 512
    assert resumed_config(done.folder, None).steps == 500


def test_a_run_is_trained_by_one_process_at_a_time(
    stopped: Path, quiet: Callable[..., TrainResult]
) -> None:
    with held(stopped), pytest.raises(ConfigError, match="in use by another process"):
        quiet(resumed_config(stopped, None), resume=stopped)


def test_a_disk_that_refuses_a_checkpoint_does_not_stop_the_training(
    sharp_world: EnvConfig,
    quiet: Callable[..., TrainResult],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agents.checkpoint.write_arrays", full)
    result = quiet(TrainConfig("ppo", steps=200, lanes=16, env=sharp_world))
    assert result.steps == 256
    assert "could not be written" in capsys.readouterr().err
    assert (result.folder / "bundle" / "weights.npz").is_file()


@pytest.mark.parametrize("steps", [0, 7, 16, 33], ids=["empty", "part", "just full", "overwritten"])
def test_a_replay_buffer_comes_back_whole(
    quick_training: None, sharp_world: EnvConfig, tmp_path: Path, steps: int
) -> None:
    """The file leaves out the next observations, which follow from the rest."""
    from agents.checkpoint_state import put_state, take_state
    from agents.hyper_params import DqnParams
    from agents.training import build_model
    from agents.training_log import silent_log
    from agents.training_watch import TrainingWatch
    from envs.batched import BatchedOffloadVecEnv

    params = DqnParams(buffer_size=16 * 64)
    config = TrainConfig("dqn", steps=10_000, lanes=64, env=sharp_world, params=params)

    def make() -> tuple[Any, BatchedOffloadVecEnv, TrainingWatch]:
        env = BatchedOffloadVecEnv(64, sharp_world)
        model = build_model(config, env)
        model.set_logger(silent_log())
        watch = TrainingWatch(config, env, tmp_path, THRESHOLDS, False)
        return model, env, watch

    model, env, watch = make()
    model.learn(64 * steps, callback=watch)
    watch.check(model)
    state = take_state(config, model, env, watch)
    state.write(tmp_path / "1.npz")
    assert not any("next" in name for name in state.arrays)
    again, other_env, other_watch = make()
    assert (
        put_state(read_checkpoint(tmp_path / "1.npz"), config, again, other_env, other_watch) == []
    )
    for name, value in vars(model.replay_buffer).items():
        if isinstance(value, np.ndarray | int | bool):
            np.testing.assert_array_equal(value, getattr(again.replay_buffer, name), name)
    assert model.replay_buffer.next_observations.any() == (steps > 0)
    # Whatever else is a number or an array is as it was, but for what learn() itself sets.
    for name, value in vars(model).items():
        if isinstance(value, np.ndarray | int | float) and name not in LEARN_SETS:
            np.testing.assert_array_equal(value, getattr(again, name), name)


LEARN_SETS = {"start_time", "_total_timesteps", "_num_timesteps_at_start", "_last_original_obs"}
THRESHOLDS = [ThresholdPolicy("threshold-rtt", 0.1, 0.0)]
