"""The calibration that follows a run's seconds, by hand."""

from __future__ import annotations

import dataclasses

import pytest

from offload.errors import ConfigError
from offload.tasks.profile_table import ProfileRow
from testbed.calibration import REMEMBERED, Calibration, RunningCalibration, weighted_median

STEADY = ProfileRow("denoise", "small", 0.4, 0.1, 0.0, 0.0, 1e4, 1e4, 0.0, 0.0, 15)
VARIABLE = dataclasses.replace(STEADY, kind="chess", local_spread=1.0, edge_spread=1.0)
SHORT = dataclasses.replace(STEADY, kind="sudoku", edge_s=1e-3, local_s=4e-3)


def test_the_weighted_median_has_half_of_the_weight_at_and_below():
    assert weighted_median([(3.0, 1.0), (1.0, 1.0), (2.0, 1.0)]) == 2.0
    assert weighted_median([(1.0, 1.0), (2.0, 1.0), (9.0, 2.1)]) == 9.0
    with pytest.raises(ConfigError):
        weighted_median([])


def test_a_warm_up_on_a_busy_machine_is_outvoted_by_four_runs():
    # It counts as three; each of these runs, as steady, counts as one.
    running = RunningCalibration(Calibration(local=1.0, edge=0.5))
    for seen, factor in ((1, 0.5), (2, 0.5), (3, 0.5), (4, 1.0)):
        running.saw(STEADY, 0.4, 0.1)
        assert running.now.edge == pytest.approx(factor), seen
    assert running.now.local == pytest.approx(1.0)


def test_it_forgets_what_lies_long_back():
    running = RunningCalibration(Calibration(1.0, 1.0))
    for _ in range(50):
        running.saw(STEADY, 0.4, 0.1)
    for _ in range(REMEMBERED // 2 + 1):
        running.saw(STEADY, 1.2, 0.1)
    assert running.now.local == pytest.approx(3.0)
    assert running.now.edge == pytest.approx(1.0)


def test_a_task_whose_seconds_hang_on_its_input_says_little():
    running = RunningCalibration(Calibration(1.0, 1.0))
    for _ in range(REMEMBERED - 3):  # together 5 / 1.01 of weight, against 300
        running.saw(VARIABLE, 1.6, 0.4)
    assert running.now.local == pytest.approx(1.0)


def test_runs_that_did_not_come_back_or_are_too_short_change_nothing():
    running = RunningCalibration(Calibration(1.0, 1.0))
    for _ in range(REMEMBERED):
        running.saw(STEADY, 0.4, None)
        running.saw(SHORT, 4e-3, 5e-3)
    assert running.now.edge == pytest.approx(1.0)
    assert running.now.local == pytest.approx(1.0)
