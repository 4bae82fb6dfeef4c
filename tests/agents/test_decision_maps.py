"""Decision maps: the right contexts, the right answers at the right place, the right picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agents.decision_map import MapGrid, make_grid
from agents.decision_map_command import MapOptions, main
from agents.decision_map_plot import DecisionMapFigure, save_picture
from agents.fixed import FixedPolicy
from agents.maui_policy import MauiPolicy
from agents.policies import PRETRAINED
from agents.thresholds import ThresholdPolicy
from envs.config import EnvConfig, WorkloadConfig
from envs.workload import WorkloadTable
from offload.errors import BundleError
from offload.tasks.profile_table import load_profile_table
from offload.types import Objective, Placement


@pytest.fixture(scope="module")
def grid() -> MapGrid:
    config = EnvConfig(
        objective=Objective.LATENCY, workload=WorkloadConfig(kinds=("ocr", "matmul"))
    )
    return make_grid(config, WorkloadTable.of(load_profile_table(), config.workload))


def test_each_kind_has_its_task_of_middle_length(grid: MapGrid) -> None:
    assert grid.kinds == ("ocr, medium", "matmul, medium")


def test_the_optimum_is_what_a_sum_by_hand_says(grid: MapGrid) -> None:
    """OCR: 1.6 s here, 0.4 s there and 43 kB to move. Matmul: 10 ms here, 2 MB to move."""
    slowest, fastest, near, far = 0, -1, 0, -1
    ocr, matmul = grid.optimum
    assert ocr[fastest, near] == Placement.EDGE  # 0.4 s and next to nothing
    assert ocr[slowest, near] == Placement.LOCAL  # 43 kB at 0.1 Mbit/s alone take 3.4 s
    assert not matmul[: len(matmul) // 2].any()  # 2 MB at 10 Mbit/s take 1.7 s
    assert not matmul[:, far].any()  # a round trip takes a hundred times the task
    # A faster link never makes the edge worse, a longer way never better.
    assert (np.diff(ocr.astype(int), axis=0) >= 0).all()
    assert (np.diff(ocr.astype(int), axis=1) <= 0).all()


def test_answers_lie_where_their_contexts_do(grid: MapGrid) -> None:
    rule = ThresholdPolicy("threshold-both", max_rtt_s=0.05, min_uplink_bps=2e6)
    expected = (grid.rtt_s <= 0.05)[None, :] & (grid.rate_bps >= 2e6)[:, None]
    for answers in grid.answers(rule):
        np.testing.assert_array_equal(answers, expected)


def _colours(picture: np.ndarray) -> dict[str, int]:
    known = {"edge": (33, 102, 172), "too_often": (214, 96, 77), "too_seldom": (244, 163, 0)}
    return {name: int((picture == colour).all(axis=2).sum()) for name, colour in known.items()}


def test_the_picture_shows_what_differs(grid: MapGrid, tmp_path: Path) -> None:
    figure = DecisionMapFigure(grid)
    truth = grid.answers(MauiPolicy(Objective.LATENCY, sees_truth=True))
    same = _colours(figure.draw(truth, "maui-true"))
    never = _colours(figure.draw(grid.answers(FixedPolicy(Placement.LOCAL)), "never"))
    always = _colours(figure.draw(grid.answers(FixedPolicy(Placement.EDGE)), "always"))
    again = figure.draw(truth, "maui-true")
    # Where nothing differs the legend alone has these colours.
    assert never["too_often"] == same["too_often"] < 200
    assert always["too_seldom"] == same["too_seldom"] < 200
    # What was blue in the policy's row is what a policy that stays local misses.
    blue = same["edge"] - never["edge"]
    assert never["too_seldom"] - same["too_seldom"] == pytest.approx(blue, rel=0.03)
    assert always["too_often"] - same["too_often"] > 0.1 * blue
    assert _colours(again) == same, "nothing of the map before is left"
    save_picture(again, tmp_path / "map.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "map.png")), again)


def test_the_command_draws_a_bundle_and_names_what_is_missing(tmp_path: Path) -> None:
    picture = tmp_path / "map.png"
    main(MapOptions(PRETRAINED / "ppo-mixed", picture))
    with Image.open(picture) as drawn:
        assert drawn.size[0] > drawn.size[1] > 300
        # The edge's blue covers a share of the map, not none and not all.
        pixels = np.asarray(drawn.convert("RGB")).reshape(-1, 3)
    blue = (pixels == (0x21, 0x66, 0xAC)).all(axis=1).mean()
    assert 0.05 < blue < 0.6
    with pytest.raises(BundleError, match="nowhere"):
        main(MapOptions(tmp_path / "nowhere", picture))
