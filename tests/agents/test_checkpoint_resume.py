"""A training that was ended and resumed comes to the very bits of one that never stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trained_runs import assert_same_bits

from agents.checkpoint import CheckpointError, stored_checkpoints
from agents.run_directory import held
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
    with held(stopped), pytest.raises(ConfigError, match="being trained by another process"):
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
