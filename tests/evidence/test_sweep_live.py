"""A tiny sweep over a really emulated link, resumed, and void once; what it needs of a testbed."""

from __future__ import annotations

import csv
import dataclasses
import json
import time

import pytest

import netem.baseline
from agents.run_directory import write_json
from evaluate import EvaluateOptions, main
from evidence.sweeps.folder import SETTINGS
from evidence.sweeps.plan import plan_block
from evidence.sweeps.record import BlockEnd, Record, Run
from evidence.sweeps.settings import SweepOptions, choose_settings
from netem.baseline import Baseline, Bound, measure_baseline
from netem.link import choose_backend
from offload.errors import BackendError
from offload.link_profiles import get_profile
from offload.types import TaskInstance
from testbed import Testbed

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def quiet_enough(monkeypatch):
    """However busy the machine is, baselines pass, unless a test says otherwise."""
    try:
        choose_backend("auto", need_packets=True)
    except BackendError as error:
        pytest.skip(f"no link can be opened here: {error}")
    every = {name: Bound(9.0, 9.0, 9.0, 9.0, 9.0) for name in netem.baseline.BOUNDS}
    monkeypatch.setattr(netem.baseline, "BOUNDS", every)
    monkeypatch.setattr(netem.baseline, "PAUSE_S", 0.0)


@pytest.mark.measured
def test_a_sweep_goes_on_where_it_stopped_is_void_once_and_finds_its_crossover(
    tmp_path, monkeypatch
):
    sweeping = SweepOptions(sweep="rtt", points="4,800", kinds="ocr/small", repeats=1)
    options = EvaluateOptions(sweeping=sweeping, out=tmp_path)
    settings, _ = choose_settings(sweeping, options)
    write_json(tmp_path / SETTINGS, settings.as_dict())
    block = plan_block(settings, 0)
    began = block.visits[0][0]
    earlier = Run(
        control="cubic", block=0, attempt=0, point=began.point, value=0.0, task=0,
        name="ocr/small", seed=block.seeds[0], on_edge=began.on_edge, budget_s=1.0, cost=None,
        input_bytes=1, output_bytes=1, correct=True, detail="of an earlier session",
    )  # fmt: skip
    Record(tmp_path).add(earlier)
    ends = []

    def busy_at_first(testbed: Testbed) -> Baseline:
        found = measure_baseline(testbed.link)
        ends.append(found)
        return found if len(ends) > 1 else dataclasses.replace(found, rtt_p99_s=9.5)

    monkeypatch.setattr(Testbed, "closing_baseline", busy_at_first)
    again = dataclasses.replace(sweeping, resume=tmp_path)
    assert main(dataclasses.replace(options, sweeping=again)) == 0
    lines = Record(tmp_path).lines
    runs = [line for line in lines if isinstance(line, Run)]
    assert runs[0] == earlier
    assert [bool(line.faults) for line in lines if isinstance(line, BlockEnd)] == [True, False]
    for attempt in (0, 1):  # what there was of the first attempt is not taken again
        mine = sorted((run.on_edge, run.point) for run in runs if run.attempt == attempt)
        assert [point for on_edge, point in mine if on_edge] == [0, 1]
        assert len(mine) == 3
    assert all(run.correct for run in runs)
    moved_s = {
        run.point: run.cost.upload_s + run.cost.download_s
        for run in runs
        if run.on_edge and run.attempt == 1 and run.cost is not None
    }
    assert moved_s[1] - moved_s[0] > 0.5  # one round trip more, at the very least
    with (tmp_path / "crossovers.csv").open() as file:
        (latency, *_) = csv.DictReader(file)
    # 0.12 s at the edge, 0.5 s on the device; 18 kB take two round trips or more.
    assert latency["better"] == "crosses"
    assert 4.0 < float(latency["crossover"]) < 800.0
    assert latency["low"] == ""  # one repetition
    notes = json.loads((tmp_path / "summary.json").read_text())["notes"]
    assert any("and run again: 1 repetitions" in note for note in notes)
    assert (tmp_path / "figures" / "crossovers-rtt-energy-awake.svg").stat().st_size > 1_000


def test_a_device_slows_down_and_other_users_keep_the_edge_busy():
    with Testbed(get_profile("lan")) as testbed:
        users = testbed.other_users(TaskInstance("lzma", "small", 1))
        seconds = {}
        for slowdown in (1.0, 20.0):
            testbed.slow_down(slowdown)
            done = [
                testbed.execute(TaskInstance("lzma", "small", 7), on_edge=False, budget_s=20.0)
                for _ in range(2)
            ]
            seconds[slowdown] = min(float(run.cost.seconds) for run in done)
        assert seconds[20.0] > 3.0 * seconds[1.0]  # on an idle machine 20 times
        before = users.offer(0.5, at_once=3)
        assert (before.done, before.busy_s, before.waiting) == (0, 0.0, 0)
        time.sleep(2.0)
        during = users.stop()
        assert (during.waiting, during.refused) == (0, 0)
        # Three at once, and Poisson with a mean of about 2 s * 0.5 / 0.03 s.
        expected = 3 + 0.5 * during.elapsed_s / users.service_s
        assert abs(during.done + during.dropped - expected) < 4 + 4 * expected**0.5
        assert during.busy_s > 0.1 * during.done * users.service_s
        assert users.offer(0.0).done == 0
