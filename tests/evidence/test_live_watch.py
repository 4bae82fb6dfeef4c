"""The live view from made-up events: standings, picture, lines, TensorBoard's events."""

from __future__ import annotations

import io

import numpy as np
import pytest
from made_runs import made_pair
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.fixed import FixedPolicy, RandomPolicy
from agents.maui_policy import MauiPolicy
from agents.paired import scenario_of, score_pairs
from agents.rollout import roll_out
from envs.config import EnvConfig
from evidence.watch.live_watch import EVERY, watching
from evidence.watch.standing import ROLLING, standings
from evidence.watch.view import link_words, pair_words, view
from offload.types import LinkState, Objective, Placement

CONFIG = EnvConfig(objective=Objective.LATENCY)
POLICIES = (
    FixedPolicy(Placement.LOCAL),
    FixedPolicy(Placement.EDGE),
    MauiPolicy(Objective.LATENCY, sees_truth=True),
)
EDGE_WINS = made_pair(local_s=0.9, edge=(0.05, 0.0, 0.1, 0.05))
DEVICE_WINS = made_pair("chess/small", local_s=0.1, edge=(0.3, 0.0, 0.1, 0.3))
GIVEN_UP = made_pair("matmul/large", local_s=0.1, edge=None, budget_s=1.5)


def told(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_standings_by_hand():
    local, edge, true = standings(POLICIES, [EDGE_WINS, DEVICE_WINS, GIVEN_UP], "lte", CONFIG)
    assert (local.accuracy, edge.accuracy, true.accuracy) == pytest.approx((2 / 3, 1 / 3, 1.0))
    assert (local.choice, edge.choice) == (Placement.LOCAL, Placement.EDGE)
    assert (local.right, edge.right, true.right) == (True, False, True)
    assert (local.offloaded, edge.offloaded, true.offloaded) == pytest.approx((0.0, 1.0, 1 / 3))
    assert local.cost == pytest.approx(1.0)
    # 0.2 of 0.9 s; 0.7 of 0.1 s; given up after 1.5 s and then 0.1 s: 16 times, capped at 10.
    assert edge.cost == pytest.approx((0.2 / 0.9 + 7.0 + 10.0) / 3)


def test_only_the_last_tasks_count():
    (local,) = standings(POLICIES[:1], [EDGE_WINS] * 20 + [DEVICE_WINS] * ROLLING, "lte", CONFIG)
    assert local.accuracy == 1.0


def test_what_is_watched_is_scored_as_if_it_had_not_been():
    pairs = [EDGE_WINS, DEVICE_WINS] * 4
    watched, alone = RandomPolicy(3), RandomPolicy(3)
    for count in range(1, len(pairs)):
        standings([watched], pairs[:count], "lte", CONFIG)
    scenario = scenario_of(pairs, "lte", "cubic", np.random.default_rng(0))
    one, other = (roll_out(policy, scenario, CONFIG).placement for policy in (watched, alone))
    assert one.tolist() == other.tolist()


def test_a_standing_is_the_score_of_the_table():
    pairs = [EDGE_WINS, DEVICE_WINS, GIVEN_UP] * 3
    now = standings(POLICIES, pairs, "lte", CONFIG)
    scored = score_pairs(
        POLICIES, pairs, radio="lte", config=CONFIG, rng=np.random.default_rng(9), seed=0
    )
    for each in now:
        score = scored.scores[each.name]
        assert each.accuracy == pytest.approx(score.accuracy.value)
        assert each.missed == pytest.approx(score.deadline_misses)
        assert each.cost == pytest.approx(score.cost.value)


def test_the_words():
    link = LinkState(0.042, 0.003, 0.015, 14e6, 39.5e6, 1.26)
    assert link_words(link) == (
        "up 14.00 Mbit/s, down 39.50 Mbit/s, RTT 42.0 ms ± 3.0, loss 1.5%, measured 1.3 s before"
    )
    assert pair_words(EDGE_WINS) == "denoise/small: device 0.900 s, edge 0.200 s"
    assert pair_words(GIVEN_UP) == "matmul/large: device 0.100 s, edge given up after 1.500 s"


def test_the_picture_holds_link_tasks_and_policies():
    pairs = [DEVICE_WINS, GIVEN_UP, EDGE_WINS]
    console = Console(file=io.StringIO(), width=100)
    console.print(view("lte", 40, pairs, standings(POLICIES, pairs, "lte", CONFIG)))
    text = told(console)
    assert "lte, task 3 of 40" in text
    assert "RTT 100.0 ms" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["denoise/small", "0.900", "0.200", "2.000", "edge"] in rows
    assert ["matmul/large", "0.100", "given", "up", "1.500", "device"] in rows
    assert ["always-edge", "edge", "✓", "33", "0", "100", "5.741"] in rows
    assert ["always-local", "device", "✗", "67", "0", "0", "1.000"] in rows


def test_without_a_terminal_there_are_lines_and_the_scalars_reach_tensorboard(tmp_path):
    console = Console(file=io.StringIO(), width=80)
    with watching(tmp_path, "lte", 12, POLICIES, CONFIG, "lte", console) as seen:
        assert seen is not None
        for pair in [EDGE_WINS, GIVEN_UP] * 6:
            seen(pair)
    lines = told(console).splitlines()
    assert lines[1].startswith("1/12 denoise/small: device 0.900 s, edge 0.200 s; up 8.00 Mbit/s")
    right = [line for line in lines if "right:" in line]
    assert [line.split()[0] for line in right] == [f"{EVERY}/12", "12/12"]
    assert right[1].startswith("12/12 right: always-local 50% (0% late), always-edge 50%")
    (folder,) = tmp_path.iterdir()
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    rtt = events.Scalars("live/link/rtt_s")
    assert [event.step for event in rtt] == list(range(1, 13))
    assert rtt[0].value == pytest.approx(0.1)
    assert events.Scalars("live/accuracy/always-local")[-1].value == pytest.approx(0.5)
    assert events.Scalars("live/offloaded/maui-true")[-1].value == pytest.approx(0.5)
    assert [event.step for event in events.Scalars("live/task/edge_s")] == [1, 3, 5, 7, 9, 11]


def test_a_terminal_gets_the_picture(tmp_path):
    console = Console(file=io.StringIO(), width=90, height=60, force_terminal=True)
    with watching(tmp_path, "5g", 1, POLICIES, CONFIG, "lte", console) as seen:
        seen(EDGE_WINS)
    assert "the last tasks" in told(console)
    assert "5g, task 1 of 1" in told(console)


def test_unless_asked_for_nothing_is_shown(tmp_path):
    console = Console(file=io.StringIO())
    with watching(None, "5g", 1, POLICIES, CONFIG, "lte", console) as seen:
        assert seen is None
    assert told(console) == ""
