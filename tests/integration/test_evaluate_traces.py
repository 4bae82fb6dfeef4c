"""``python evaluate.py`` and ``python train.py`` over measured links, as a user calls them."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import train
from offload.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "docs" / "traces" / "sample.csv"


def evaluate(out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "evaluate.py", "--runs", str(out / "none"), "--out", str(out)]
    command.append("--no-report")
    return subprocess.run([*command, *words], cwd=ROOT, capture_output=True, text=True, timeout=110)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three links of other lengths than any measured one, of technologies nobody knows."""
    folder = tmp_path_factory.mktemp("season")
    for name, down, up, rows in (("good", 90, 30, 40), ("poor", 0.4, 0.2, 25), ("worse", 0, 0, 3)):
        lines = [f"{t / 4},{down},{up},{60 + t},0.01,6G-sub" for t in range(rows)]
        text = "t_s,down_mbps,up_mbps,rtt_ms,loss,tech\r\n" + "\r\n".join(lines)
        (folder / f"{name}.csv").write_text(text)
    (folder / "README.md").write_text("# where these are from\n")
    return folder


def test_every_trace_of_a_folder_is_scored(tmp_path: Path, folder: Path) -> None:
    words = ("--mode", "sim", "--traces", str(folder), "--decisions", "9600", "--policies", "all")
    summaries = []
    for number in range(2):
        file = tmp_path / f"{number}.json"
        done = evaluate(tmp_path, *words, "--json", str(file))
        assert done.returncode == 0, done.stderr
        summaries.append(json.loads(file.read_text()))
    summary = summaries[0]
    assert summary == summaries[1]
    assert summary["decisions"] == 9600
    assert (summary["profile"], summary["mode"]) == (folder.name, "sim")
    assert set(summary["links"]) == {"good", "poor", "worse"}
    names = set(summary["policies"])
    assert {"ppo", "dqn", "maui-measured", "maui-true", "always-edge"} <= names
    for name, whole in summary["policies"].items():
        parts = [scores[name] for scores in summary["links"].values()]
        assert [part["scenarios"] for part in parts] == [50, 50, 50]
        # Every link has the same number of decisions, so the whole is the mean of its parts.
        for key in ("accuracy", "cost", "regret_maui_true"):
            mean = sum(part[key][0] for part in parts) / 3
            assert whole[key][0] == pytest.approx(mean, abs=1e-9)
            assert all(part[key][1] <= part[key][0] <= part[key][2] for part in parts)
    good, worse = summary["links"]["good"], summary["links"]["worse"]
    assert good["maui-true"]["offloaded"] > 0.1
    assert worse["maui-true"]["offloaded"] < 0.02
    assert worse["always-edge"]["cost"][0] > 3.0
    assert summary["policies"]["maui-true"]["accuracy"][0] == 1.0
    assert "measured links: 3 from" in done.stdout
    assert "radio 'lte' from profile 'lte'" in done.stdout
    decisions = next(tmp_path.glob(f"*{folder.name}-sim/decisions.csv"))
    with decisions.open() as file:
        links = [row["link"] for row in csv.DictReader(file)]
    assert {name: links.count(name) for name in set(links)} == dict.fromkeys(
        ("good", "poor", "worse"), 3200
    )


def test_one_trace_is_simulated(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    done = evaluate(
        tmp_path, "--mode", "sim", "--trace", str(SAMPLE), "--decisions", "640",
        "--policies", "maui-measured,always-local", "--json", str(file),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = json.loads(file.read_text())
    assert (summary["profile"], summary["decisions"], summary["links"]) == ("sample", 640, {})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--trace", str(SAMPLE), "--profile", "lte"), "--profile and --trace each say"),
        (("--traces", "docs/traces", "--trace", str(SAMPLE)), "--trace and --traces each say"),
        (("--traces", "docs/traces", "--mode", "live"), "a live run has one link"),
        (("--traces", "nowhere"), "nowhere: no such folder"),
        (("--trace", "README.md"), "README.md:3: no trace format has"),
        (("--trace", str(SAMPLE), "--trace-base", "ltee"), "Did you mean 'lte'"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, words: tuple, said: str) -> None:
    done = evaluate(tmp_path, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert not list(tmp_path.iterdir())


def test_training_on_traces(
    tmp_path: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("agents.training_watch.VALIDATION_LANES", 16)
    monkeypatch.setattr("agents.training.TUNING_LANES", 16)
    options = train.TrainOptions(
        traces=folder, steps=512, lanes=64, tensorboard=False, out=tmp_path
    )
    assert train.main(options) == 0
    assert "on 3 measured links" in capsys.readouterr().out
    (made,) = tmp_path.iterdir()
    config = json.loads((made / "config.json").read_text())
    assert config["env"]["traces"] == [str(folder / f"{n}.csv") for n in ("good", "poor", "worse")]
    bundle = json.loads((made / "bundle" / "policy.json").read_text())
    assert bundle["provenance"]["env"]["traces"] == ["good.csv", "poor.csv", "worse.csv"]
    mixed = replace(options, profile="lte,5g", trace_share=0.5)
    assert train.main(mixed) == 0
    assert "on 3 measured links (50%) and lte, 5g;" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="give --traces"):
        train.main(train.TrainOptions(trace_share=0.5))
    assert train.main(train.TrainOptions(resume=made, steps=1024, out=tmp_path)) == 0
    with pytest.raises(ConfigError, match="--traces comes from the run that is resumed"):
        train.main(train.TrainOptions(resume=made, traces=folder))
    with pytest.raises(ConfigError, match="--profile and --traces each say"):
        train.main(train.TrainOptions(traces=folder, profile="lte"))
