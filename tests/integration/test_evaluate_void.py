"""``python evaluate.py`` on a machine that is too busy: no table, raw data kept, exit code 3."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import shutil
import sys

import pytest

import evaluate
import netem.baseline
from evaluate import EvaluateOptions
from netem.baseline import Baseline, Bound, measure_baseline
from offload.errors import VoidRun
from testbed import Testbed


def test_a_void_run_is_tried_once_more_and_no_oftener(monkeypatch, capsys):
    tries = []

    def void(*_):
        tries.append(1)
        raise VoidRun("the run is void: echo p99 9 ms")

    monkeypatch.setattr(netem.baseline, "PAUSE_S", 0.0)
    monkeypatch.setattr(evaluate, "_live_once", void)
    with pytest.raises(VoidRun):
        evaluate._live(*[None] * 4)
    assert len(tries) == 2
    monkeypatch.setattr(evaluate, "_live_once", lambda *_: tries.append(1) or 0)
    assert evaluate._live(*[None] * 4) == 0
    assert len(tries) == 3
    capsys.readouterr()


def test_its_exit_code_is_its_own(monkeypatch, capsys):
    def void(options):
        raise VoidRun("the run is void: echo p99 9 ms")

    monkeypatch.setattr(evaluate, "main", void)
    monkeypatch.setattr(sys, "argv", ["evaluate.py", "--mode", "sim"])
    monkeypatch.setattr(evaluate.signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        evaluate.cli()
    assert ended.value.code == 3
    assert capsys.readouterr().err == "evaluate.py: the run is void: echo p99 9 ms\n"


@pytest.mark.slow
@pytest.mark.uml
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.skipif(shutil.which("linux.uml") is None, reason="needs user-mode-linux")
def test_a_run_that_ends_on_a_busy_machine_keeps_raw_data_and_no_score(
    tmp_path, monkeypatch, capsys
):
    """The first run's closing baseline is late; the second cannot begin."""

    def unbounded() -> None:
        every = {name: Bound(9.0, 9.0, 9.0, 9.0, 9.0) for name in netem.baseline.BOUNDS}
        monkeypatch.setattr(netem.baseline, "BOUNDS", every)

    def late(testbed: Testbed) -> Baseline:
        found = dataclasses.replace(measure_baseline(testbed.link), rtt_p99_s=9.5)
        nothing_passes = {name: Bound(0.0, 0.0) for name in netem.baseline.BOUNDS}
        monkeypatch.setattr(netem.baseline, "BOUNDS", nothing_passes)
        return found

    unbounded()
    monkeypatch.setattr(netem.baseline, "PAUSE_S", 0.0)
    monkeypatch.setattr(Testbed, "closing_baseline", late)
    options = EvaluateOptions(
        profile="wifi", mode="live", backend="uml", tasks=2, max_local=0.1,
        out=tmp_path, runs=tmp_path / "none", json=tmp_path / "summary.json",
    )  # fmt: skip
    with pytest.raises(VoidRun, match="void: median echo"):
        evaluate.main(options)
    printed = capsys.readouterr()
    assert "accuracy" not in printed.out
    assert "echo p99 9500.00 ms, at most 9000 ms" in printed.err
    (folder,) = tmp_path.iterdir()
    assert folder.name.endswith("wifi-live-void")
    assert sorted(path.name for path in folder.iterdir()) == ["pairs.csv", "void.json"]
    kept = json.loads((folder / "void.json").read_text())
    assert kept["void"] is True
    assert kept["baseline"]["rtt_p99_s"] == 9.5
    with (folder / "pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert all(float(row["local_measured_s"]) > 0 for row in rows)
