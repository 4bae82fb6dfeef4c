"""A tiny suite over a really emulated link: one link, two tasks, one round of a competing flow."""

from __future__ import annotations

import csv

import pytest

import netem.baseline
from evidence.suite import plan
from evidence.suite.__main__ import SuiteOptions, main
from evidence.suite.plan import Amount
from netem.baseline import Bound
from netem.link import choose_backend
from offload.errors import BackendError


@pytest.mark.slow
def test_a_tiny_suite_measures_the_link_the_tasks_and_the_flow(tmp_path, monkeypatch):
    try:
        choose_backend("auto", need_packets=True)
    except BackendError as error:
        pytest.skip(f"no link can be opened here: {error}")
    # Nothing here depends on how busy the machine is: baselines pass.
    every = {name: Bound(9.0, 9.0, 9.0, 9.0, 9.0) for name in netem.baseline.BOUNDS}
    monkeypatch.setattr(netem.baseline, "BOUNDS", every)
    amount = Amount(tasks=2, max_local_s=0.02, rounds=1, phase_s=0.5)
    monkeypatch.setattr(plan, "FULL", amount)
    options = SuiteOptions(
        links="lte", policies="always-local,always-edge", runs=tmp_path / "none", out=tmp_path
    )
    assert main(options) == 0
    (folder,) = tmp_path.iterdir()
    with (folder / "kpis.csv").open() as file:
        value = {row["kpi"]: float(row["value"]) for row in csv.DictReader(file)}
    assert value["rtt_set"] == pytest.approx(0.04)
    assert 0.03 < value["rtt_probed"] < 0.08
    assert 0.0 < value["latency_local"] < 0.5
    # 14 Mbit/s; losses and slow start take from it, and a reader that was late adds to it. Not
    # shaped, the link would carry over a hundred.
    for name in ("flow_alone", "flow_with_offloading"):
        assert 0.2e6 < value[name] < 25e6
    # Up and down an idle link of 40 ms RTT, 43 kB at 14 Mbit/s.
    assert 0.06 < value["offload_alone"] < 5.0
    with (folder / "links" / "lte.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["always-edge:placement"] for row in rows] == ["1", "1"]
    assert [row["correct"] for row in rows] == ["1", "1"]
