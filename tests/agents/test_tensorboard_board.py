"""What a training writes for TensorBoard, read back by TensorBoard's own reader."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from agents.hyper_params import PpoParams
from agents.train_config import TrainConfig
from agents.training import TrainResult, train
from agents.training_watch import _Best
from envs.config import EnvConfig

pytestmark = pytest.mark.usefixtures("quick_training")
PROFILES = ("wifi", "congested")


@pytest.fixture
def trained(sharp_world: EnvConfig, tmp_path: Path, quick_training: None) -> TrainResult:
    world = replace(sharp_world, profiles=PROFILES)
    config = TrainConfig(steps=3000, lanes=32, env=world, params=PpoParams(gamma=0.25))
    return train(config, tmp_path, progress=False)


def _read(result: TrainResult) -> Any:
    reader = EventAccumulator(str(result.folder / "tensorboard"), size_guidance={"images": 0})
    reader.Reload()
    return reader


def test_all_of_a_training_is_there(trained: TrainResult) -> None:
    reader = _read(trained)

    def curve(tag: str) -> list[float]:
        return [event.value for event in reader.Scalars(tag)]

    # Two profiles with even shares of lanes: the curve of all lies between theirs.
    for tag, whole in (
        ("accuracy_by_link", "accuracy"),
        ("regret_by_link", "regret_maui_true"),
        ("offloaded_by_link", "offloaded"),
    ):
        each = np.array([curve(f"{tag}/{name}") for name in PROFILES])
        everything = np.array(curve(f"validation/{whole}"))
        assert each.shape == (2, 4)  # at the start, two on the way, at the end
        assert (each.min(axis=0) - 1e-6 <= everything).all()
        assert (everything <= each.max(axis=0) + 1e-6).all()

    costs = curve("validation/cost")
    np.testing.assert_allclose(curve("kept/cost"), np.minimum.accumulate(costs), rtol=1e-6)

    maps = reader.Images("decision_map/training")
    assert len(maps) == 3  # checks 1, 2 and 4
    kept = reader.Images("decision_map/kept")[-1]
    shown = np.asarray(Image.open(io.BytesIO(kept.encoded_image_string)))
    saved = np.asarray(Image.open(trained.folder / "decision-map.png"))
    np.testing.assert_array_equal(shown, saved)

    summaries = reader.summary_metadata
    start = HParamsPluginData.FromString(
        summaries["_hparams_/session_start_info"].plugin_data.content
    ).session_start_info
    assert start.hparams["gamma"].number_value == 0.25
    assert start.hparams["algo"].string_value == "ppo"
    experiment = HParamsPluginData.FromString(
        summaries["_hparams_/experiment"].plugin_data.content
    ).experiment
    metrics = {info.name.tag for info in experiment.metric_infos}
    assert metrics == {"kept/cost", "kept/accuracy", "kept/regret_maui_true", "kept/seconds"}
    assert metrics <= set(reader.Tags()["scalars"])
    assert {"settings/text_summary", "origin/text_summary"} <= set(reader.Tags()["tensors"])


@pytest.mark.parametrize(
    ("offloaded", "collapsed"), [(0.0, True), (1.0, True), (0.0005, True), (0.01, False)]
)
def test_a_policy_with_one_answer_has_collapsed(offloaded: float, collapsed: bool) -> None:
    assert _Best(1.0, 0.9, offloaded, 0, {}).collapsed is collapsed
