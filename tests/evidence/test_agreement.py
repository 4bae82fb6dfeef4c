"""Predicted against measured, worked out by hand on runs that were made up."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_runs import QUIET, made_folder, made_pair
from rich.console import Console

from evidence.agreement.command import agree
from evidence.agreement.errors import errors_of, luck
from evidence.agreement.predictions import predict
from evidence.agreement.set_links import link_of, set_links
from evidence.agreement.stored import load_run
from offload.errors import ConfigError
from offload.link_profiles import get_profile
from offload.link_trace import LinkTrace

ROOT = Path(__file__).resolve().parents[2]


def test_errors_by_hand():
    found = errors_of([1.1, 2.0, 3.0, 8.0], [1.0, 2.0, 4.0, 4.0])
    # 10 %, 0, 25 % and 100 %; the tenth decile lies 0.7 of the way from the third to the fourth.
    assert found.median == pytest.approx(0.175)
    assert found.p90 == pytest.approx(0.25 + 0.7 * 0.75)
    assert found.bias == pytest.approx(np.log(1.1) / 2)
    assert found.median_off_s == pytest.approx(0.55)
    assert errors_of([0.0, 1.0], [1.0, 1.0]).bias is None
    assert not found.within_goal
    assert errors_of([1.1, 1.2], [1.0, 1.0]).median == pytest.approx(0.15)


def test_luck_is_the_error_of_the_draws():
    predicted = np.array([[1.0], [2.0]])
    drawn = np.array([[1.0, 2.0], [2.0, 4.0]])
    assert luck(predicted, drawn)[0] == pytest.approx(0.25)


def test_predictions_by_hand(tmp_path):
    # Believed: a round trip of 0.1 s; set: 0.2 s. The device proved twice as slow as expected.
    pair = made_pair(local_s=0.8, edge=(0.11, 0.002, 0.25, 0.09))
    slow = link_of(get_profile("lte"))
    slow = type(slow)(0.2, 0.0, 0.0, 8e6, 8e6)
    run = load_run(made_folder(tmp_path / "run", [pair], links=[slow]))
    found = {
        (row.link, row.hard, row.component): (row.predicted_s, row.measured_s)
        for row in predict(run)
    }
    assert found["set", "table", "upload"] == pytest.approx((0.1, 0.11))
    assert found["measured", "table", "upload"] == pytest.approx((0.05, 0.11))
    assert found["set", "table", "compute"] == pytest.approx((0.1, 0.25))
    assert found["set", "own", "compute"] == pytest.approx((0.2, 0.25))
    assert found["set", "table", "local"] == pytest.approx((0.4, 0.8))
    assert ("set", "own", "local") not in found
    assert found["set", "own", "queue"] == pytest.approx((0.0, 0.002))
    assert found["set", "own", "total"] == pytest.approx((0.1 + 0.2 + 0.1, 0.452))


def test_a_run_given_up_has_no_components_and_its_budget_for_a_total(tmp_path):
    run = load_run(made_folder(tmp_path / "run", [made_pair(edge=None, budget_s=1.5)]))
    rows = predict(run)
    assert {row.component for row in rows} == {"local", "total"}
    assert {(row.measured_s, row.given_up) for row in rows if row.component == "total"} == {
        (1.5, True)
    }


def test_the_link_as_set_of_a_profile():
    link = link_of(get_profile("congested"))
    assert link.rtt_s == pytest.approx(0.110)
    assert link.jitter_s == pytest.approx(0.020 * 2**0.5)
    assert link.loss == pytest.approx(0.5 / 25.5)
    assert (link.uplink_bps, link.downlink_bps) == (1.3e6, 3.5e6)


def test_a_transfer_over_a_trace_meets_the_rows_it_lasts_for():
    rows = np.array([1e6, 2e6])
    trace = LinkTrace(
        name="two",
        t_s=np.array([0.0, 1.0]),
        end_s=10.0,
        uplink_bps=rows,
        downlink_bps=2 * rows,
        uplink_delay_s=np.array([0.02, 0.02]),
        downlink_delay_s=np.array([0.03, 0.03]),
        uplink_loss=np.array([0.0, 0.0]),
        downlink_loss=np.array([0.02, 0.02]),
        radio="lte",
        base=get_profile("lte"),
        assumed=(),
        source="two.csv",
    )
    # 1.5 Mbit from 0.5 s on: half a second at 1 Mbit/s, then half a second at 2 Mbit/s.
    pair = made_pair(n_bytes=187_500.0, edge=(1.1, 0.0, 0.4, 0.4), trace_s=0.5)
    (link,) = set_links([pair], get_profile("lte"), trace)
    assert link.uplink_bps == pytest.approx(1.5e6)
    assert link.downlink_bps == pytest.approx(4e6)  # from 2.0 s on, all in the second row
    assert (link.rtt_s, link.loss) == (pytest.approx(0.05), pytest.approx(0.01))
    (clipped,) = set_links([pair], get_profile("lte"), trace, max_rate_bps=1e6)
    assert clipped.downlink_bps == pytest.approx(1e6)


def test_accuracy_of_choices_that_are_plain(tmp_path):
    """The edge is eight times faster whatever is drawn: staying on the device is never right."""
    pairs = [made_pair(predicted=(4.0, 0.4), local_s=4.0, edge=(0.05, 0.0, 0.4, 0.05))] * 6
    right, wrong = (1,) * 6, (0,) * 6
    choices = {
        "always-local": (wrong, right),
        "always-edge": (right, right),
        "maui-true": (right, right),
    }
    folder = made_folder(tmp_path / "run", pairs, choices)
    agreement = agree([folder], folder, Console(width=120, quiet=True))
    assert agreement.accuracy["always-local"].live == 0.0
    assert agreement.accuracy["always-local"].simulated == 0.0
    assert agreement.accuracy["always-edge"].live == 1.0
    assert agreement.accuracy["always-edge"].simulated == 1.0
    assert "maui-true" not in agreement.accuracy
    # Denoise takes much the same time for every input; lte as set here loses nothing.
    assert agreement.errors["set/own"]["total"].median == pytest.approx(0.0, abs=1e-6)
    assert not agreement.missed

    with (folder / "agreement.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 * (5 + 6 + 6)  # without the local seconds where they set the hardness
    assert {row["link"] for row in rows} == {"set", "measured"}
    summary = json.loads((folder / "agreement.json").read_text())
    assert summary["pairs"] == 6
    assert summary["accuracy"]["always-edge"]["gap"][0] == 0.0
    assert (folder / "agreement.png").read_bytes().startswith(b"\x89PNG")


def test_several_runs_are_pooled_and_misses_named(tmp_path):
    slow = made_pair(edge=(0.05, 0.001, 0.3, 0.05))
    folders = [
        made_folder(tmp_path / name, [made_pair(), slow], {"ppo": ((1, 1), (1, 0))}, profile=name)
        for name in ("lte", "5g")
    ]
    agreement = agree(folders, folders[0], Console(width=120, quiet=True))
    assert set(agreement.by_profile) == {"lte", "5g"}
    assert agreement.errors["set/own"]["compute"].n == 4
    assert agreement.accuracy["ppo"].live == 0.5
    assert any("5g: total off by" in line and "in compute" in line for line in agreement.missed)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mode": "sim"}, "is not a live run"),
        ({"profile": "drive"}, "radio is None"),
        ({"details": {}}, "congestion control is None"),
        ({"details": {"congestion_control": "cubic"}}, "slowdown is None"),
        ({"objective": "speed"}, "objective is 'speed'"),
    ],
)
def test_a_folder_that_is_none_is_refused(tmp_path, change, said):
    folder = made_folder(tmp_path / "run", [made_pair()], **change)
    with pytest.raises(ConfigError, match=said):
        load_run(folder)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("denoise/small", "denoise", "line 2: task is 'denoise'"),
        ("0.001", "soon", "edge_measured_queue_s is 'soon'"),
        ("set_rtt_s", "sat_rtt_s", "the column 'set_rtt_s' is missing"),
        ("local_measured_s", "local_s", "the column 'local_measured_s' is missing"),
    ],
)
def test_a_damaged_table_is_refused_with_its_line(tmp_path, old, new, said):
    folder = made_folder(
        tmp_path / "run",
        [made_pair()],
        profile="drive",
        details={
            "congestion_control": "cubic",
            "radio": "lte",
            "device_cpu_limit": {"slowdown": 4.0},
        },
    )
    path = folder / "decisions.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=said):
        load_run(folder)


def test_the_command_says_what_is_wrong(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "evidence.agreement", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "is not the folder of an evaluation" in done.stderr


def test_a_run_without_columns_for_its_link_has_its_profile(tmp_path):
    folder = made_folder(tmp_path / "run", [made_pair()])
    path = folder / "decisions.csv"
    path.write_text(path.read_text().replace("set_", "was_"))
    assert load_run(folder).set_links == (link_of(get_profile("lte")),)
    assert load_run(folder).set_links != (QUIET,)
