"""Settings: round trips, and errors that say what would have been right."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from envs.config import (
    EdgeProcessConfig,
    EnvConfig,
    LinkProcessConfig,
    WorkloadConfig,
    config_from_dict,
)
from envs.streams import Purpose, stream
from envs.workload import WorkloadTable
from offload.errors import ConfigError, UnknownNameError
from offload.tasks.profile_table import load_profile_table
from offload.types import Objective


def test_a_config_comes_back_from_json() -> None:
    config = EnvConfig(
        objective=Objective.ENERGY,
        profiles=("lte", "wifi"),
        episode_tasks=12,
        link=LinkProcessConfig(rate_sigma=0.3),
        edge=EdgeProcessConfig(busy_share_high=0.1),
        workload=WorkloadConfig(kinds=("ocr",), load_high=0.9),
    )
    assert config_from_dict(asdict(config)) == config
    assert config_from_dict(json.loads(json.dumps(asdict(config)))) == config
    assert config_from_dict({}) == EnvConfig()


@pytest.mark.parametrize(
    ("data", "suggestion"),
    [
        ({"profile": ["lte"]}, "Did you mean 'profiles'"),
        ({"link": {"rate_sgima": 1.0}}, "Did you mean 'rate_sigma'"),
        ({"edge": {"memory": 1.0}}, "Did you mean 'memory_s'"),
        ({"workload": {"kind": []}}, "Did you mean 'kinds'"),
        ({"profiles": ["congestd"]}, "Did you mean 'congested'"),
        ({"objective": "latncy"}, "Did you mean 'latency'"),
        ({"congestion_control": "bbrr"}, "Did you mean 'bbr'"),
    ],
)
def test_a_misspelt_name_is_an_error_with_a_suggestion(
    data: dict[str, Any], suggestion: str
) -> None:
    with pytest.raises(UnknownNameError, match=suggestion):
        config_from_dict(data)


@pytest.mark.parametrize(
    "data",
    [
        {"episode_tasks": 0},
        {"episode_tasks": 2.5},
        {"episode_tasks": "64"},
        {"cost_cap": 0.5},
        {"cost_cap": float("nan")},
        {"low_battery_share": 1.5},
        {"profiles": []},
        {"profiles": "lte"},
        {"profiles": [3]},
        {"objective": None},
        {"link": {"rate_sigma": -0.1}},
        {"link": {"rtt_memory_s": 0}},
        {"link": {"estimate_age_s": "2"}},
        {"link": {"loss_probe_packets": -1}},
        {"link": []},
        {"edge": {"busy_share_high": 1.0}},
        {"edge": {"queue_median_s": 0.0}},
        {"workload": {"kinds": "ocr"}},
        {"workload": {"load_low": 0.0}},
        {"workload": {"load_low": 0.5, "load_high": 0.4}},
        {"workload": {"deadline_slack_low": 0.9}},
        {"workload": {"mix_concentration": 0.0}},
        [],
        None,
    ],
)
def test_a_bad_value_is_an_error(data: Any) -> None:
    with pytest.raises(ConfigError):
        config_from_dict(data)


def test_an_objective_may_be_given_by_its_plain_name() -> None:
    config = EnvConfig(objective="energy")  # type: ignore[arg-type]
    assert config.objective is Objective.ENERGY
    assert replace(config, cost_cap=5.0).objective is Objective.ENERGY


def test_an_unknown_task_kind_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'sudoku'"):
        WorkloadTable.of(load_profile_table(), WorkloadConfig(kinds=("sudko",)))
    with pytest.raises(ConfigError, match="max_local_s"):
        WorkloadTable.of(load_profile_table(), WorkloadConfig(max_local_s=1e-9))


def test_no_two_streams_are_alike() -> None:
    firsts = {
        ("purpose", purpose, seed): stream(purpose, seed).random()
        for purpose in Purpose
        for seed in range(50)
    }
    # Gymnasium and NumPy seed their generators with the plain number.
    firsts |= {("plain", seed): np.random.default_rng(seed).random() for seed in range(50)}
    assert len(set(firsts.values())) == len(firsts)


def test_a_stream_repeats() -> None:
    np.testing.assert_array_equal(
        stream(Purpose.TEST, 3).random(10), stream(Purpose.TEST, 3).random(10)
    )
