"""Seeds and studies on a real Ray cluster: the same bits as in processes of this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_cluster import Cluster, kill_node, ray_cluster
from trained_runs import QUICK, QUIET, ROOT, assert_same_bits, training, wait_until

from agents.launcher import make_launcher
from agents.train_config import TrainConfig
from agents.training import train
from agents.tuning import run_study
from agents.tuning_plan import Plan
from envs.config import EnvConfig
from offload.errors import BackendError

pytest.importorskip("ray", reason="Ray is not installed; pip install -r requirements-ray.txt")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
STEPS = 6_000
WORDS = (
    f"--seeds 2 --seed 4 --steps {STEPS} --lanes 32 --profile wifi --checkpoint-every 0.3 "
    "--launcher ray --ray-address"
).split()
CONFIG = TrainConfig(seed=4, steps=STEPS, lanes=32, env=EnvConfig(profiles=("wifi",)))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with ray_cluster(ROOT / "tests" / "agents") as running:
        yield running


def test_a_study_finds_the_same_on_a_cluster_as_here(cluster: Cluster, tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="pip install -r requirements-tune.txt")
    plan = Plan(TrainConfig(steps=3_000, env=EnvConfig(profiles=("wifi",))), 2)
    found = []
    for name, address in (("process", None), ("ray", cluster.address)):
        launcher = make_launcher(name, address)
        folder = tmp_path / name
        folder.mkdir()
        study = run_study(
            folder,
            plan,
            workers=1,
            launcher=launcher,
            stop=lambda: False,
            report=lambda *_: None,
        )
        launcher.close()
        found.append(
            [(trial.params, trial.value, trial.intermediate_values) for trial in study.trials]
        )
    assert len(found[0]) == 2
    assert found[0] == found[1]


@pytest.mark.chaos
def test_a_lost_node_costs_its_seed_a_resume_and_no_bit(cluster: Cluster, tmp_path: Path) -> None:
    """Two seeds on two nodes; one node dies; resumed, both are as if each had been alone."""
    with training(*WORDS, cluster.address, "--out", str(tmp_path)) as process:
        wait_until(lambda: len([*tmp_path.glob("*/seed*/checkpoints/*")]) >= 2, process)
        kill_node(cluster.raylets[0])
        _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1, stderr
    (folder,) = tmp_path.iterdir()
    seeds = json.loads((folder / "summary.json").read_text())["seeds"]
    lost = [each for each in seeds if not each["finished"]]
    assert len(lost) == 1
    assert "Ray cluster has ended" in lost[0]["reason"]
    words = ["--resume", str(folder), "--launcher", "ray", "--ray-address", cluster.address]
    done = subprocess.run(
        [sys.executable, QUICK, *words],
        cwd=ROOT,
        env=QUIET,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for seed in (4, 5):
        config = TrainConfig(seed=seed, steps=STEPS, lanes=32, env=EnvConfig(profiles=("wifi",)))
        alone = train(config, tmp_path / "alone", tensorboard=False, progress=False)
        assert_same_bits(alone.folder, folder / f"seed{seed}")
    assert not (folder / ".launcher").exists()


def test_where_no_cluster_is_it_says_so() -> None:
    with pytest.raises(BackendError, match="no Ray cluster"):
        make_launcher("ray", "127.0.0.1:1")
