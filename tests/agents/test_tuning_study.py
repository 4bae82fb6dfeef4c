"""A study: it finds, it goes on where it was cut off, and what it writes can be trained with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="needs optuna: pip install -r requirements-tune.txt")

from optuna.trial import FixedTrial, TrialState

from agents.hyper_params import read_params
from agents.train_config import TrainConfig
from agents.tuning import open_study, run_study
from agents.tuning_command import resume_study
from agents.tuning_plan import Plan, is_study, read_study_plan, write_study_plan
from agents.tuning_space import SPACE, defaults, require_space, settings, suggest
from agents.tuning_summary import summarise_study, write_study
from envs.config import EnvConfig, WorkloadConfig
from offload.errors import ConfigError

WORLD = EnvConfig(profiles=("wifi",), episode_tasks=2, workload=WorkloadConfig(kinds=("ocr",)))


@pytest.mark.parametrize("algo", SPACE)
def test_a_study_begins_with_what_a_training_has_by_itself(algo: str) -> None:
    tried = suggest(FixedTrial(defaults(algo)), algo)
    config = TrainConfig(algo=algo)
    assert tried.params == config.params
    assert tried.lanes == config.n_lanes
    for name, bounds in SPACE[algo].items():
        value = defaults(algo)[name]
        assert value in bounds if isinstance(bounds, list) else bounds[0] <= value <= bounds[1]


def test_an_algorithm_without_a_space_is_refused() -> None:
    with pytest.raises(ConfigError, match="--tune knows ppo and dqn, not a2c"):
        require_space("a2c")


def test_what_was_cut_off_is_tried_again_and_only_once(tmp_path: Path) -> None:
    plan = Plan(TrainConfig(env=WORLD), 5)
    study = open_study(tmp_path, plan)
    first = study.ask()
    suggest(first, "ppo")
    study.tell(first, 0.9)
    second = study.ask()
    suggest(second, "ppo")
    for _ in range(3):  # three times the process dies before it comes to that
        study = open_study(tmp_path, plan)
    again = study.ask()
    assert again.number == 2
    assert settings("ppo", {**second.params}) == suggest(again, "ppo")
    states = [trial.state for trial in study.get_trials()]
    assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING]


def test_a_study_that_is_stopped_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    plan = Plan(TrainConfig(steps=2000, env=WORLD), 3)
    write_study_plan(tmp_path, plan)
    assert is_study(tmp_path)
    ended: list[tuple[int, str]] = []
    study = run_study(
        tmp_path,
        plan,
        workers=1,
        stop=lambda: len(ended) == 1,
        report=lambda number, outcome, cost: ended.append((number, outcome)),
    )
    assert ended == [(0, "trained")]
    assert study.trials[0].params == defaults("ppo")

    assert resume_study(tmp_path, trials=2, steps=None)
    assert read_study_plan(tmp_path, None, None) == Plan(plan.config, 2)
    with pytest.raises(ConfigError, match="another length"):
        resume_study(tmp_path, trials=None, steps=3000)
    said = capsys.readouterr().out
    assert "trial 1: " in said
    assert "trial 0: " not in said
    assert f"--params {tmp_path / 'best.json'}" in said.replace("\n", "")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert sum(summary["trials"].values()) == 2
    best = summary["best"]
    assert read_params(tmp_path / "best.json") == settings("ppo", best["values"])
    assert best["cost"] <= summary["default"]["cost"]
    assert (tmp_path / "study.png").stat().st_size > 10_000


def test_the_summary_names_the_least_cost(tmp_path: Path) -> None:
    study = open_study(tmp_path, Plan(TrainConfig(env=WORLD), 6))
    for cost in (0.8, 0.7, 0.9, 0.75, 0.85):
        trial = study.ask()
        suggest(trial, "ppo")
        study.tell(trial, cost)
    pruned = study.ask()
    suggest(pruned, "ppo")
    pruned.report(0.6, 0)
    study.tell(pruned, state=TrialState.PRUNED)
    summary = summarise_study(study, "ppo")
    assert summary["trials"] == {"complete": 5, "pruned": 1}
    assert (summary["best"]["trial"], summary["best"]["cost"]) == (1, 0.7)
    assert summary["default"]["cost"] == 0.8
    assert sum(summary["importance"].values()) == pytest.approx(1.0)
    write_study(study, summary, tmp_path)
    assert read_params(tmp_path / "best.json").algo == "ppo"
