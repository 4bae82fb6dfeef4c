"""``python evaluate.py --backend proxy``: real tasks, no root, no packets, and it says so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from netem.link import choose_backend
from offload.errors import BackendError, VoidRun
from offload.link_profiles import get_profile
from offload.types import TaskInstance
from testbed import Testbed, TestbedConfig

ROOT = Path(__file__).resolve().parents[2]

ANYWAY = "tests/integration/evaluate_anyway.py"

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the slowed-down device needs Linux"
)


@pytest.mark.measured
def test_a_pair_runs_on_both_sides_of_a_proxied_link() -> None:
    task = TaskInstance("sudoku", "small", 1)
    with Testbed(get_profile("congested"), TestbedConfig("proxy", slowdown=2.0)) as testbed:
        try:
            testbed.warm_up(("sudoku",))
        except VoidRun as error:
            pytest.skip(f"this machine is too busy for a live run: {error}")
        measured = testbed.measure()
        local = testbed.execute(task, on_edge=False, budget_s=30.0)
        edge = testbed.execute(task, on_edge=True, budget_s=30.0)
        limits = testbed.link.limits
        sent = testbed.link.stats().uplink.sent_bytes
    assert local.correct
    assert edge.correct
    # Set: 110 ms of round trip, deviating by 28; 1.3 and 3.5 Mbit/s. Loss is neither done nor seen.
    assert measured.link.rtt_s == pytest.approx(0.110, abs=0.04)
    assert measured.link.uplink_bps == pytest.approx(1.3e6, rel=0.3)
    assert measured.link.downlink_bps == pytest.approx(3.5e6, rel=0.3)
    assert measured.link.loss == 0.0
    assert any("loss of profile 'congested' is not applied" in line for line in limits)
    assert edge.cost is not None
    assert edge.cost.upload_s + edge.cost.download_s > 0.05  # it crossed the link
    assert sent > 50_000  # the probes and the task


@pytest.mark.slow
def test_the_output_and_the_summary_say_what_a_proxy_leaves_out(tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    words = ["--profile", "wifi", "--backend", "proxy", "--mode", "live", "--tasks", "3"]
    words.append("--no-report")
    policies = ["--policies", "always-local,always-edge,maui-true", "--max-local", "0.1"]
    done = subprocess.run(
        [sys.executable, ANYWAY, *words, *policies, "--out", tmp_path, "--json", file],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "live over proxy" in done.stdout
    assert "note: backend proxy is for demonstrations" in done.stdout
    summary = json.loads(file.read_text())
    assert (summary["mode"], summary["backend"], summary["decisions"]) == ("live", "proxy", 3)
    assert "the loss of profile 'wifi' is not applied: 0.1 % up, 0.1 % down" in summary["notes"]


def test_evaluation_never_falls_down_to_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that people quote: a machine without packets simulates, unless told otherwise."""
    monkeypatch.setenv("PATH", "/nonexistent")  # no ip, no tc, no linux.uml
    assert choose_backend("auto")[0].name == "proxy"
    with pytest.raises(BackendError, match="ask for it by name"):
        Testbed(get_profile("wifi"), TestbedConfig("auto"))
