"""``python train.py`` as its user meets it."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents.train_config import TrainConfig

ROOT = Path(__file__).resolve().parents[2]
QUIET = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}


def _train(*words: str, timeout: float = 100) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "train.py", *words],
        cwd=ROOT,
        env=QUIET,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.mark.measured
def test_help_comes_at_once_and_without_torch() -> None:
    script = (
        "import runpy, sys\n"
        "sys.argv = ['train.py', '--help']\n"
        "try: runpy.run_path('train.py', run_name='__main__')\n"
        "except SystemExit as end: code = end.code\n"
        "heavy = {'torch', 'stable_baselines3', 'tensorboard'} & set(sys.modules)\n"
        "print('\\nheavy:', sorted(heavy), 'code:', code)\n"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=QUIET,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert time.perf_counter() - start < 2.0
    assert done.stdout.rstrip().endswith("heavy: [] code: 0")
    for option in ("--algo", "--objective", "--profile", "--steps", "--resume", "--seeds", "--out"):
        assert option in done.stdout


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = _train("--out", str(tmp_path / "file" / "runs"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("train.py: cannot write to ")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--profile", "wifi,congestd"), "Did you mean 'congested'?"),
        (("--algo", "pppo"), "Did you mean 'ppo'?"),
        (("--steps", "0"), "at least 1"),
        (("--seeds", "0"), "--seeds is 0; it must be at least 1"),
        (("--checkpoint-every", "-1"), "--checkpoint-every is -1.0"),
        (("--resume", "nowhere"), "nowhere/config.json does not exist"),
    ],
)
def test_a_wrong_option_is_one_line(tmp_path: Path, words: tuple[str, str], hint: str) -> None:
    done = _train(*words, "--out", str(tmp_path / "runs"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert hint in done.stderr
    assert not (tmp_path / "runs").exists()


def test_settings_beside_a_resumed_run_are_refused(tmp_path: Path) -> None:
    done = _train("--resume", str(tmp_path), "--objective", "latency")
    assert done.returncode == 2
    assert "--objective comes from the run" in done.stderr


def test_a_refused_resume_leaves_no_folder(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    config = dataclasses.asdict(TrainConfig(steps=1000))
    (run / "config.json").write_text(json.dumps(config))
    done = _train("--resume", str(run), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "holds no checkpoint" in done.stderr
    assert not (tmp_path / "out").exists()
