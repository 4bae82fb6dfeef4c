"""``python evaluate.py`` as a user calls it, in simulation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = {
    "accuracy",
    "accuracy_ties",
    "regret_maui_true",
    "cost",
    "latency_p50_s",
    "latency_p95_s",
    "energy_j",
    "offloaded",
    "deadline_misses",
}
NAMES = {
    "always-local",
    "always-edge",
    "random",
    "threshold-rtt",
    "threshold-bandwidth",
    "threshold-both",
    "threshold-time",
    "maui-measured",
    "maui-tuned",
    "linucb",
    "imitation-logistic",
    "imitation-boosting",
    "ppo",
    "dqn",
    "maui-true",
}


def evaluate(*words: str, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "evaluate.py", "--runs", str(out / "none"), "--out", str(out)]
    command.append("--no-report")
    return subprocess.run([*command, *words], cwd=ROOT, capture_output=True, text=True, timeout=100)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two runs of the same command, and one of another seed."""
    out = tmp_path_factory.mktemp("results")
    summaries = []
    for number, seed in enumerate(("3", "3", "4")):
        file = out / f"{number}.json"
        words = ("--profile", "congested", "--mode", "sim", "--decisions", "6400", "--seed", seed)
        done = evaluate(*words, "--json", str(file), out=out)
        assert done.returncode == 0, done.stderr
        summaries.append(json.loads(file.read_text()))
    return out, summaries, done.stdout


def test_the_summary_is_as_documented(results):
    _, (summary, *_), _ = results
    assert summary["schema"] == 1
    assert (summary["profile"], summary["mode"], summary["backend"]) == ("congested", "sim", None)
    assert summary["decisions"] == 6400
    assert summary["seed"] == 3
    assert set(summary["policies"]) == NAMES
    for terms in summary["policies"].values():
        assert terms.keys() >= REQUIRED
        for name in ("accuracy", "accuracy_ties", "cost", "regret_maui_true"):
            value, low, high = terms[name]
            assert low <= value + 1e-12
            assert value <= high + 1e-12
    assert summary["policies"]["maui-true"]["accuracy"][0] == 1.0
    assert summary["hindsight"]["scenarios"] == 100
    assert summary["hindsight"]["bound"][0] <= summary["hindsight"]["cost"][0]
    for name in ("regret_hindsight", "gap_closed"):
        assert all(len(terms[name]) == 3 for terms in summary["policies"].values())
    assert summary["policies"]["maui-true"]["regret_hindsight"][0] > 0.0
    assert summary["policies"]["always-local"]["cost"][0] == pytest.approx(1.0)
    assert summary["policies"]["always-local"]["offloaded"] == 0.0


def test_the_same_seed_repeats_exactly_and_another_does_not(results):
    _, (first, again, other), _ = results
    assert first == again
    assert first["policies"]["ppo"]["cost"] != other["policies"]["ppo"]["cost"]


def test_the_folder_holds_what_is_documented(results):
    out, _, stdout = results
    folder = out / stdout.strip().splitlines()[-1].rpartition("/")[2]
    assert {path.name for path in folder.iterdir()} == {
        "result.json",
        "decisions.csv",
        "policies.png",
        "latency.png",
        "decision-maps.json",
    }
    lines = (folder / "decisions.csv").read_text().splitlines()
    assert len(lines) == 1 + 6400
    result = json.loads((folder / "result.json").read_text())
    assert result["energy"] == "modelled"
    assert result["origin"]["packages"]["numpy"]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--profile", "congestd"), "Did you mean 'congested'?"),
        (("--policies", "pppo"), "Did you mean 'ppo'?"),
        (("--run", "no/such/run"), "python train.py"),
        (("--mode", "live", "--profile", "all"), "name a profile"),
        (("--mode", "live", "--backend", "nonsense"), "nonsense"),
        (("--tasks", "1"), "at least 2"),
        (("--json", "."), "is a folder"),
        (("--seed", "-1"), "at least 0"),
        (("--watch", "--mode", "sim"), "--watch shows a live evaluation"),
        (("--mode", "sim", "--calibration", "none.json"), "train.py --calibrate RUN"),
        (("--drive", "--calibration", "none.json"), "calibrates itself"),
    ],
)
def test_a_wrong_word_is_one_clear_line(words, hint, tmp_path):
    done = evaluate(*words, out=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("evaluate.py: ")
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_bundle_is_one_clear_line(tmp_path):
    bundle = tmp_path / "run" / "bundle"
    bundle.mkdir(parents=True)
    shipped = ROOT / "agents" / "pretrained" / "ppo-mixed"
    (bundle / "policy.json").write_bytes((shipped / "policy.json").read_bytes())
    (bundle / "weights.npz").write_bytes((shipped / "weights.npz").read_bytes()[:500])
    done = evaluate("--mode", "sim", "--run", str(tmp_path / "run"), out=tmp_path)
    assert done.returncode == 2
    assert "weights.npz is damaged" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
