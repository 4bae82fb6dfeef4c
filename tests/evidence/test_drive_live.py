"""A tiny drive over a really emulated link: two policies, the same tasks at the same moments."""

from __future__ import annotations

import csv
import dataclasses
import json

import pytest

import netem.baseline
from evaluate import EvaluateOptions, main
from evidence.driving import command, schedule
from evidence.driving.command import drive
from evidence.driving.options import DriveOptions
from netem.baseline import Bound
from netem.link import choose_backend
from offload.errors import BackendError, ConfigError
from offload.tasks.profile_table import load_profile_table


@pytest.fixture(autouse=True)
def quiet_enough(monkeypatch):
    """Nothing here depends on how busy the machine is: baselines pass."""
    every = {name: Bound(9.0, 9.0, 9.0, 9.0, 9.0) for name in netem.baseline.BOUNDS}
    monkeypatch.setattr(netem.baseline, "BOUNDS", every)


def rows_of(folder, policy):
    with (folder / "drive.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["policy"] == policy]


@pytest.mark.slow
def test_two_policies_meet_the_same_tasks_at_the_same_moments(tmp_path, monkeypatch):
    try:
        choose_backend("tun")
    except BackendError as error:
        pytest.skip(f"no link can be opened here: {error}")
    monkeypatch.setattr(schedule, "LEAD_S", 2.5)
    # One kind alone, that is quick to warm up and has the time to be offloaded.
    table = load_profile_table()
    rows = tuple(row for row in table.rows if row.kind == "face")
    only = dataclasses.replace(table, rows=rows)
    monkeypatch.setattr(command, "load_profile_table", lambda: only)
    trace = tmp_path / "moving.csv"
    seconds = "".join(f"{second},20,{8 + second % 3}\n" for second in range(4))
    trace.write_text(f"t_s,down_mbps,up_mbps\n{seconds}")
    options = EvaluateOptions(
        driving=DriveOptions(drive=True),
        trace=trace,
        policies="always-local,always-edge",
        tasks=3,
        max_local=1.0,
        backend="tun",
        runs=tmp_path / "none",
        out=tmp_path,
    )
    assert main(options) == 0
    (folder,) = (path for path in tmp_path.iterdir() if path.name.endswith("-drive"))
    local, edge = rows_of(folder, "always-local"), rows_of(folder, "always-edge")
    assert len(local) == len(edge) == 3
    same = ("task", "task_seed", "due_s", "predicted_local_s", "predicted_deadline_s")
    for ours, theirs in zip(local, edge, strict=True):
        assert [ours[name] for name in same] == [theirs[name] for name in same]
        assert ours["outcome"] == "local_ok"
        assert float(ours["compute_s"]) > 0.0
        assert float(ours["upload_s"]) == 0.0
        assert ours["correct"] == theirs["correct"] == "1"
        # The link is set to 8 to 10 Mbit/s; unshaped it would carry over a hundred.
        assert 2e6 < float(theirs["link_uplink_bps"]) < 30e6
        assert float(ours["done_s"]) >= float(ours["called_s"]) >= float(ours["due_s"])
    done = [row for row in edge if row["outcome"] == "remote_ok"]
    assert done
    for row in done:
        # Both ways through a link of 40 ms RTT.
        assert float(row["upload_s"]) + float(row["download_s"]) > 0.035
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary["policies"]) == {"always-local", "always-edge"}
    assert summary["policies"]["always-edge"]["offloaded"] == 1.0
    assert summary["same_packet_fates"] is True
    assert [each["void"] for each in summary["drives"]] == ["", ""]
    assert summary["drives"][0]["replay"]["applied"] >= 3
    assert (folder / "figures" / "drive.svg").stat().st_size > 0


@pytest.mark.parametrize(
    ("driving", "others", "message"),
    [
        (DriveOptions(stress="ramp"), {}, "--stress goes with --drive"),
        (DriveOptions(drive=True), {"mode": "sim"}, "--drive is live"),
        (DriveOptions(drive=True), {"profile": "all"}, "one link"),
        (DriveOptions(drive=True), {"tasks": 1}, "at least 2"),
        (DriveOptions(drive=True), {"policies": "maui-true"}, "cannot drive"),
        (DriveOptions(drive=True, stress="ramp"), {"profile": "5g"}, "leave out --profile"),
    ],
)
def test_options_that_do_not_go_together_are_refused(driving, others, message):
    with pytest.raises(ConfigError, match=message):
        drive(driving, EvaluateOptions(driving=driving, **others))
