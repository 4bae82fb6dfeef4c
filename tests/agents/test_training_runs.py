"""Training: it learns, it repeats, it goes on, and it writes all of its folder."""

from __future__ import annotations

import csv
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trained_runs import assert_same_bits

from agents.bundle import BundlePolicy, load_bundle
from agents.fixed import FixedPolicy, RandomPolicy
from agents.maui_policy import MauiPolicy
from agents.rollout import roll_out
from agents.train_config import TrainConfig, resumed_config
from agents.training import TrainResult, train
from envs import batched
from envs.config import EnvConfig
from envs.scenario import Scenario, draw_scenario
from envs.streams import Purpose, stream
from envs.workload import WorkloadTable
from offload.errors import ConfigError, UnknownNameError
from offload.features import N_FEATURES
from offload.types import Objective, Placement

pytestmark = pytest.mark.usefixtures("quick_training")


def _same(one: TrainResult, other: TrainResult) -> bool:
    return all(
        np.array_equal(a, b)
        for first, second in zip(one.bundle.layers, other.bundle.layers, strict=True)
        for a, b in zip(first, second, strict=True)
    )


def _test_scenario(world: EnvConfig) -> Scenario:
    from offload.tasks.profile_table import load_profile_table

    rows = WorkloadTable.of(load_profile_table(), world.workload)
    return draw_scenario(stream(Purpose.TEST, 0), world, rows, lanes=300)


@pytest.mark.parametrize(
    ("algorithm", "steps", "lanes"), [("ppo", 40_000, 128), ("dqn", 40_000, 128)]
)
def test_a_short_run_beats_every_fixed_answer(
    sharp_world: EnvConfig, tmp_path: Path, algorithm: str, steps: int, lanes: int
) -> None:
    config = TrainConfig(algorithm, seed=1, steps=steps, lanes=lanes, env=sharp_world)
    result = train(config, tmp_path, tensorboard=False, progress=False)
    scenario = _test_scenario(sharp_world)

    def cost(policy: Any) -> float:
        return float(roll_out(policy, scenario, sharp_world).cost.mean())

    learned = cost(BundlePolicy(result.bundle))
    optimum = cost(MauiPolicy(Objective.LATENCY, sees_truth=True))
    fixed = [cost(FixedPolicy(Placement.LOCAL)), cost(FixedPolicy(Placement.EDGE))]
    assert learned < min(*fixed, cost(RandomPolicy(0))) - 0.1
    # Most of the way from the better fixed answer to the oracle.
    assert (min(fixed) - learned) / (min(fixed) - optimum) > 0.9


@pytest.mark.parametrize("algorithm", ["ppo", "dqn", "a2c"])
def test_a_seed_repeats_the_weights(
    sharp_world: EnvConfig, tmp_path: Path, algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "tmp"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    config = TrainConfig(algorithm, seed=4, steps=1500, lanes=16, env=sharp_world)

    def run(config: TrainConfig) -> TrainResult:
        return train(config, tmp_path / "runs", tensorboard=False, progress=False)

    first = run(config)
    # Value network, optimiser, buffers and generators too.
    assert_same_bits(first.folder, run(config).folder)
    assert not _same(first, run(replace(config, seed=5)))
    assert list(elsewhere.iterdir()) == [], "nothing is left in the folder for temporary files"


def test_training_draws_from_its_own_stream(
    sharp_world: EnvConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Scenario] = []

    def spy(*arguments: Any) -> Scenario:
        drawn.append(draw_scenario(*arguments))
        return drawn[-1]

    monkeypatch.setattr(batched, "draw_scenario", spy)
    config = TrainConfig("ppo", seed=4, steps=100, lanes=8, env=sharp_world)
    train(config, tmp_path, tensorboard=False, progress=False)
    rows = batched.BatchedOffloadVecEnv(1, sharp_world).table
    seed = int(stream(Purpose.TRAIN, 4).integers(2**31))
    expected = draw_scenario(np.random.default_rng(seed), sharp_world, rows, lanes=8)
    np.testing.assert_array_equal(drawn[0].work.gap_s, expected.work.gap_s)
    np.testing.assert_array_equal(drawn[0].battery, expected.battery)


def test_the_folder_holds_the_whole_run(sharp_world: EnvConfig, tmp_path: Path) -> None:
    config = TrainConfig("ppo", seed=0, steps=3000, lanes=32, env=sharp_world)
    result = train(config, tmp_path / "runs", progress=False)
    folder = result.folder
    assert folder.parent == tmp_path / "runs"
    assert folder.name.endswith("-ppo-latency-seed0")
    held = {path.name for path in folder.iterdir()}
    events = list(folder.glob("tensorboard/events.out.tfevents.*"))
    assert len(events) == 1
    assert held == {
        "config.json",
        "origin.json",
        "status.json",
        "curve.csv",
        "model.zip",
        "bundle",
        "checkpoints",
        "decision-map.png",
        events[0].parent.name,
    }
    assert resumed_config(folder, None) == config
    assert resumed_config(folder, 77) == replace(config, steps=77)
    origin = json.loads((folder / "origin.json").read_text())
    assert origin["resumed"] == []
    assert origin["packages"]["stable-baselines3"]
    status = json.loads((folder / "status.json").read_text())
    assert status["finished"] is True
    assert status["steps"] == result.steps >= 3000
    with (folder / "curve.csv").open() as file:
        curve = list(csv.DictReader(file))
    assert len(curve) == 4  # at the start, two on the way, at the end
    assert float(curve[-1]["step"]) == result.steps
    least = min(float(row["cost"]) for row in curve)
    assert status["validation"]["cost"] == pytest.approx(least)

    bundle = load_bundle(folder / "bundle")
    assert _same(result, replace(result, bundle=bundle))
    assert [rule["name"] for rule in bundle.thresholds] == [
        "threshold-rtt",
        "threshold-bandwidth",
        "threshold-both",
    ]

    from stable_baselines3 import PPO
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(events[0].parent))
    accumulator.Reload()
    tags = accumulator.Tags()["scalars"]
    assert {"validation/cost", "validation/accuracy", "offload/return"} <= set(tags)
    assert len(accumulator.Scalars("validation/cost")) == 4
    model = PPO.load(folder / "model.zip", device="cpu")
    observations = np.random.default_rng(0).random((200, N_FEATURES)).astype(np.float32)
    predicted, _ = model.predict(observations, deterministic=True)
    np.testing.assert_array_equal(BundlePolicy(bundle).act_batch(observations), predicted)


def test_a_world_where_a_rule_is_optimal_can_be_trained_in(tmp_path: Path) -> None:
    """No gap is left to close, which must not stop the training."""
    from envs.config import EdgeProcessConfig, LinkProcessConfig, WorkloadConfig

    quiet = LinkProcessConfig(disturbance_every_s=np.inf, rate_sigma=0.0)
    world = EnvConfig(
        objective=Objective.LATENCY,
        profiles=("lan",),
        episode_tasks=8,
        link=quiet,
        edge=EdgeProcessConfig(busy_share_high=0.0),
        workload=WorkloadConfig(kinds=("ocr",)),
    )
    config = TrainConfig("ppo", steps=200, lanes=16, env=world)
    result = train(config, tmp_path, tensorboard=False, progress=False)
    with (result.folder / "curve.csv").open() as file:
        assert {row["gap_closed"] for row in csv.DictReader(file)} == {"nan"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"algo": "pp"}, "Did you mean 'ppo'"),
        ({"seed": -1}, "seed is -1"),
        ({"steps": 0}, "steps is 0"),
        ({"lanes": 0}, "lanes is 0"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UnknownNameError if "algo" in settings else ConfigError, match=message):
        TrainConfig(**settings)
