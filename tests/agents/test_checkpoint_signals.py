"""``python train.py`` ended by Ctrl-C, by SIGTERM and by SIGKILL, then resumed to the same bits."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from trained_runs import assert_same_bits, steps_kept, training, wait_until

from agents.bundle import load_bundle
from agents.checkpoint import stored_checkpoints
from agents.train_config import TrainConfig, resumed_config
from agents.training import train
from envs.config import EnvConfig

pytestmark = [pytest.mark.slow, pytest.mark.chaos, pytest.mark.usefixtures("quick_training")]

STEPS = {"ppo": 24_000, "dqn": 12_000}
"""DQN takes longer over a step."""
LANES = 64
WORLD = EnvConfig(profiles=("wifi",))


@pytest.fixture(scope="module")
def straight() -> dict[str, Path]:
    """By algorithm: the training that nothing ended, once it has been done."""
    return {}


@pytest.mark.parametrize(
    ("number", "algorithm"),
    [
        (signal.SIGINT, "dqn"),
        (signal.SIGTERM, "ppo"),
        (signal.SIGKILL, "dqn"),
        (signal.SIGKILL, "ppo"),
    ],
)
def test_ended_in_the_middle_and_resumed_it_comes_to_the_same_bits(
    tmp_path: Path, straight: dict[str, Path], number: signal.Signals, algorithm: str
) -> None:
    steps = STEPS[algorithm]
    words = f"--algo {algorithm} --seed 1 --steps {steps} --lanes {LANES} --profile wifi".split()
    with training(*words, "--checkpoint-every", "0.3", "--out", str(tmp_path)) as process:
        wait_until(lambda: any(steps_kept(run) > steps // 5 for run in tmp_path.iterdir()), process)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    (run,) = tmp_path.iterdir()
    assert "Traceback" not in stderr
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
        assert not (run / "bundle").exists()
    else:
        assert process.returncode == 130, stderr
        assert f"go on: python train.py --resume {run}" in stdout
        status = json.loads((run / "status.json").read_text())
        assert status["finished"] is False
        assert status["steps"] == steps_kept(run)
        assert load_bundle(run / "bundle").algorithm == algorithm
    assert steps // 5 < steps_kept(run) < steps

    result = train(
        resumed_config(run, None), tmp_path, resume=run, tensorboard=False, progress=False
    )
    assert not result.interrupted
    if algorithm not in straight:
        config = TrainConfig(algorithm, seed=1, steps=steps, lanes=LANES, env=WORLD)
        straight[algorithm] = train(config, tmp_path, tensorboard=False, progress=False).folder
    assert_same_bits(straight[algorithm], run)
    assert [path.suffix for path in (run / "checkpoints").iterdir()] == [".npz"]
    assert len(stored_checkpoints(run)) == 1
