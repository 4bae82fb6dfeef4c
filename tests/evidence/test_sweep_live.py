"""A tiny sweep over a really emulated link, interrupted, resumed, and void once."""

from __future__ import annotations

import csv
import dataclasses
import json
import shlex
import time

import pytest

import netem.baseline
from evaluate import EvaluateOptions, main
from evidence.sweeps.record import BlockEnd, Record, Run, Session
from evidence.sweeps.settings import SweepOptions
from netem.baseline import Baseline, Bound, measure_baseline
from netem.link import choose_backend
from offload.errors import BackendError
from offload.link_profiles import get_profile
from offload.types import TaskInstance
from testbed import Testbed

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def quiet_enough(monkeypatch):
    """Nothing here depends on how busy the machine is: baselines pass, unless a test says so."""
    try:
        choose_backend("auto", need_packets=True)
    except BackendError as error:
        pytest.skip(f"no link can be opened here: {error}")
    every = {name: Bound(9.0, 9.0, 9.0, 9.0, 9.0) for name in netem.baseline.BOUNDS}
    monkeypatch.setattr(netem.baseline, "BOUNDS", every)
    monkeypatch.setattr(netem.baseline, "PAUSE_S", 0.0)


def test_a_sweep_interrupted_and_once_void_goes_on_to_its_crossover(tmp_path, monkeypatch, capsys):
    sweeping = SweepOptions(sweep="rtt", points="4,250", kinds="lzma/small", repeats=1)
    options = EvaluateOptions(sweeping=sweeping, out=tmp_path)
    add = Record.add

    def interrupted(self: Record, line: object) -> None:
        add(self, line)
        if isinstance(line, Run):
            raise KeyboardInterrupt

    monkeypatch.setattr(Record, "add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main(options)
    monkeypatch.setattr(Record, "add", add)
    (folder,) = tmp_path.iterdir()
    said = capsys.readouterr().err
    assert f"--resume {shlex.quote(str(folder))}" in said
    (first,) = [line for line in Record(folder).lines if isinstance(line, Run)]

    ends = []

    def busy_at_first(testbed: Testbed) -> Baseline:
        found = measure_baseline(testbed.link)
        ends.append(found)
        return found if len(ends) > 1 else dataclasses.replace(found, rtt_p99_s=9.5)

    monkeypatch.setattr(Testbed, "closing_baseline", busy_at_first)
    again = dataclasses.replace(sweeping, resume=folder)
    assert main(dataclasses.replace(options, sweeping=again)) == 0
    lines = Record(folder).lines
    runs = [line for line in lines if isinstance(line, Run)]
    assert runs[0] == first
    assert sum(isinstance(line, Session) for line in lines) == 2
    assert [bool(line.faults) for line in lines if isinstance(line, BlockEnd)] == [True, False]
    for attempt in (0, 1):  # the run before the interruption is not taken again
        mine = [run for run in runs if run.attempt == attempt]
        assert sorted((run.on_edge, run.point) for run in mine if run.on_edge) == [
            (True, 0),
            (True, 1),
        ]
        assert sum(not run.on_edge for run in mine) == 1
    assert all(run.correct for run in runs)
    seconds = {run.point: run.cost.seconds for run in runs if run.on_edge and run.attempt}
    assert seconds[1] > 0.25 + seconds[0] - 0.004  # one round trip at the very least
    with (folder / "crossovers.csv").open() as file:
        (latency, *_) = csv.DictReader(file)
    assert latency["better"] == "crosses"  # 0.12 s on the device: less than the slow link's RTT
    assert 4.0 < float(latency["crossover"]) < 250.0
    assert latency["low"] == ""  # one repetition
    notes = json.loads((folder / "summary.json").read_text())["notes"]
    assert any("and run again: 1 repetitions" in note for note in notes)
    assert any("measured in 2 sessions" in note for note in notes)
    assert (folder / "figures" / "crossovers-rtt-energy-awake.svg").stat().st_size > 1_000


def test_a_device_slows_down_and_other_users_keep_the_edge_busy():
    with Testbed(get_profile("lan")) as testbed:
        users = testbed.other_users(TaskInstance("lzma", "small", 1))
        seconds = {}
        for slowdown in (1.0, 5.0):
            testbed.slow_down(slowdown)
            done = [
                testbed.execute(TaskInstance("lzma", "small", 7), on_edge=False, budget_s=20.0)
                for _ in range(3)
            ]
            seconds[slowdown] = min(float(run.cost.seconds) for run in done)
        assert 3.0 < seconds[5.0] / seconds[1.0] < 8.0
        before = users.offer(0.5, at_once=3)
        assert (before.done, before.busy_s, before.waiting) == (0, 0.0, 0)
        time.sleep(3.0)
        during = users.stop()
        assert (during.waiting, during.refused) == (0, 0)
        # Three at once, and Poisson with a mean of about 3 s * 0.5 / 0.03 s.
        expected = 3 + 0.5 * during.elapsed_s / users.service_s
        assert abs(during.done + during.dropped - expected) < 4 + 4 * expected**0.5
        assert during.busy_s > 0.5 * during.done * users.service_s
        assert users.offer(0.0).done == 0
