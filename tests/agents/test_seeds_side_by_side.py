"""``python train.py --seeds N``: each seed as if alone, ended together, resumed together."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trained_runs import (
    QUICK,
    QUIET,
    ROOT,
    assert_same_bits,
    steps_kept,
    training,
    wait_until,
)

from agents.run_directory import held
from agents.seeds import SeedRun
from agents.seeds_summary import split_done, summarise
from agents.train_config import TrainConfig
from agents.training import train
from envs.config import EnvConfig
from offload.errors import ConfigError

STEPS = 6_000
WORDS = (
    f"--seeds 2 --seed 4 --steps {STEPS} --lanes 32 --profile wifi --checkpoint-every 0.3".split()
)


def _status(accuracy: float, cost: float) -> dict[str, Any]:
    found = {"accuracy": accuracy, "cost": cost, "step": 1}
    return {"finished": True, "steps": 100, "validation": found}


def test_the_summary_leaves_out_the_extremes_and_names_the_best(tmp_path: Path) -> None:
    costs = [0.80, 0.90, 0.70, 0.81, 0.82]
    runs = [
        SeedRun(seed, tmp_path / f"seed{seed}", _status(0.9 + seed / 100, cost))
        for seed, cost in enumerate(costs, start=3)
    ]
    runs.append(SeedRun(8, tmp_path / "seed8", None, "ended with exit code -9"))
    summary = summarise(runs)
    value, low, high = summary["cost_iqm"]
    assert value == pytest.approx((0.80 + 0.81 + 0.82) / 3)
    assert 0.70 < low < value < high < 0.90
    assert summary["accuracy_iqm"][0] == pytest.approx(0.95)
    assert summary["best"] == 5
    assert [each["finished"] for each in summary["seeds"]] == [True] * 5 + [False]
    assert summary["seeds"][-1]["reason"] == "ended with exit code -9"
    assert "best" not in summarise(runs[-1:])


def test_seeds_that_are_done_are_not_trained_again(tmp_path: Path) -> None:
    configs = [TrainConfig(seed=seed, steps=100) for seed in range(3)]
    for seed, finished in ((0, True), (1, False)):
        (tmp_path / f"seed{seed}").mkdir()
        status = {**_status(0.9, 0.8), "finished": finished}
        (tmp_path / f"seed{seed}" / "status.json").write_text(json.dumps(status))
    rest, done = split_done(configs, tmp_path)
    assert [config.seed for config in rest] == [1, 2]
    assert [run.seed for run in done] == [0]
    longer = [TrainConfig(seed=seed, steps=101) for seed in range(3)]
    assert split_done(longer, tmp_path) == (longer, [])


def _is_free(folder: Path) -> bool:
    try:
        with held(folder):
            return True
    except ConfigError:
        return False


def _resume(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, QUICK, "--resume", str(folder)],
        cwd=ROOT,
        env=QUIET,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.chaos
@pytest.mark.usefixtures("quick_training")
def test_interrupted_and_resumed_each_seed_is_as_if_it_had_been_alone(tmp_path: Path) -> None:
    with training(*WORDS, "--out", str(tmp_path)) as process:
        wait_until(lambda: any(steps_kept(run) > 0 for run in tmp_path.glob("*/seed*")), process)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    (folder,) = tmp_path.iterdir()
    assert folder.name.endswith("-ppo-mixed-seeds4-5")
    assert f"go on: python train.py --resume {folder}" in stdout
    assert "seed 5: " in stdout
    summary = json.loads((folder / "summary.json").read_text())
    assert not all(each["finished"] for each in summary["seeds"])

    done = _resume(folder)
    assert done.returncode == 0, done.stderr
    assert "interquartile means: accuracy" in done.stdout
    assert f"--run {folder}" in done.stdout
    summary = json.loads((folder / "summary.json").read_text())
    assert [each["seed"] for each in summary["seeds"]] == [4, 5]
    assert all(each["finished"] and each["steps"] >= STEPS for each in summary["seeds"])
    config = TrainConfig(seed=4, steps=STEPS, lanes=32, env=EnvConfig(profiles=("wifi",)))
    alone = train(config, tmp_path / "alone", tensorboard=False, progress=False)
    assert_same_bits(alone.folder, folder / "seed4")
    weights = [np.load(folder / f"seed{n}" / "bundle" / "weights.npz")["weight_0"] for n in (4, 5)]
    assert not np.array_equal(*weights)


@pytest.mark.slow
@pytest.mark.chaos
def test_seeds_end_with_the_process_that_started_them_and_what_is_lost_is_named(
    tmp_path: Path,
) -> None:
    with training(*WORDS, "--steps", "30000", "--out", str(tmp_path)) as process:
        wait_until(
            lambda: sum(steps_kept(run) > 0 for run in tmp_path.glob("*/seed*")) == 2, process
        )
        process.kill()
        process.communicate(timeout=60)
    (folder,) = tmp_path.iterdir()
    wait_until(lambda: _is_free(folder / "seed4") and _is_free(folder / "seed5"))
    for path in folder.glob("seed*/checkpoints/*.npz"):
        path.write_bytes(b"PK nothing")

    done = _resume(folder)
    assert done.returncode == 1, done.stderr
    for seed in (4, 5):
        assert f"seed {seed}: no checkpoint of {folder}/seed{seed} can be read" in done.stdout
    summary = json.loads((folder / "summary.json").read_text())
    assert [each["finished"] for each in summary["seeds"]] == [False, False]
    assert "best" not in summary
