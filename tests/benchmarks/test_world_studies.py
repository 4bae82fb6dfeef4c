"""Ablation, and the memory of probes: their parts, worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import ablation, memory_value
from envs.config import EnvConfig
from envs.switches import SWITCHES
from offload.features import N_FEATURES


def test_each_switch_is_once_off_and_once_alone_on() -> None:
    worlds = dict(ablation.variants())
    assert len(worlds) == 2 * len(SWITCHES) + 2
    assert worlds["full"] == ()
    assert set(worlds["none"]) == set(SWITCHES)
    for name in SWITCHES:
        assert worlds[f"without {name}"] == (name,)
        assert set(SWITCHES) - set(worlds[f"only {name}"]) == {name}


@pytest.mark.slow
def test_an_ablation_with_nothing_hidden_finds_no_distance(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("agents.training_watch.VALIDATION_LANES", 16)
    monkeypatch.setattr("agents.training.TUNING_LANES", 16)
    options = ablation.Options(steps=4096, decisions=6400)
    found = ablation.study(tuple(SWITCHES), options, tmp_path)
    measured = found["policies"]["maui-measured"]
    assert measured["accuracy"] == [1.0, 1.0, 1.0]
    assert measured["regret_maui_true"] == [0.0, 0.0, 0.0]
    threshold = found["policies"][ablation.THRESHOLD]
    assert threshold["cost"][0] > found["policies"]["maui-true"]["cost"][0]
    ablation.show({"steps": 4096, "seed": 0, "worlds": {"none": found}})
    assert "| none |" in capsys.readouterr().out


def test_a_sample_holds_what_was_known_and_what_was_right() -> None:
    options = memory_value.Options(episodes=30)
    sample = memory_value.sampled(EnvConfig(), options, 0)
    assert sample.observed.shape == (30 * 64, N_FEATURES)
    # The program keeps a bound that a cost does not see, and costs are capped; else they agree.
    right = (sample.gain > 0) == (sample.optimum == 1)
    assert right[sample.gain != 0.0].mean() > 0.98
    assert 0.9 < (sample.chosen == sample.optimum).mean() < 1.0
    other = memory_value.sampled(EnvConfig(), options, 1)
    assert not np.array_equal(other.observed, sample.observed)
