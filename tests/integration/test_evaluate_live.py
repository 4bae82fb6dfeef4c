"""``python evaluate.py`` live: the real server over a really emulated link."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from running_edge_server import alive

from netem.layout import STATE_DIRECTORY

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "docs" / "traces" / "sample.csv"
ANYWAY = "tests/integration/evaluate_anyway.py"

pytestmark = [
    pytest.mark.uml,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(shutil.which("linux.uml") is None, reason="needs user-mode-linux"),
]


def command(out: Path, *words: str, program: str = ANYWAY) -> list[str]:
    fixed = ["--runs", str(out / "none"), "--out", str(out), "--mode", "live", "--backend", "uml"]
    fixed.append("--no-report")
    return [sys.executable, program, *fixed, *words]


def descendants(root: int) -> set[int]:
    """The process and all that descend from it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(fields[1])
    found = {root}
    while grown := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= grown
    return found


def links_of(owner: int) -> dict[str, set[str]]:
    """State folders and namespaces of the links that a process has opened."""
    states = {
        path.parent.name
        for path in STATE_DIRECTORY.glob("link-*/owner.json")
        if json.loads(path.read_text())["pid"] == owner
    }
    slots = {name.removeprefix("link-") for name in states}
    namespaces = {
        path.name for slot in slots for path in Path("/run/netns").glob(f"offload{slot}-*")
    }
    return {"states": states, "namespaces": namespaces}


def cgroups_of(pids: set[int]) -> set[Path]:
    """CPU groups whose name says that one of these processes made them."""
    places = [Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")]
    groups = [path for place in places for path in place.glob("offload*")]
    return {path for path in groups if pids & {int(n) for n in re.findall(r"\d+", path.name)}}


class Watched:
    """A live run, and what it has on the machine while it runs."""

    def __init__(self, words: list[str]) -> None:
        self.process = subprocess.Popen(
            words,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("calibration"):
                break
        else:
            _, errors = self.process.communicate(timeout=30)
            if self.process.returncode == 3:
                pytest.skip(f"this machine is too busy for a live run: {errors}")
        self.pids = descendants(self.process.pid)
        self.links = links_of(self.process.pid)
        self.cgroups = cgroups_of(self.pids)
        # Else the check for leftovers would look for nothing.
        assert len(self.pids) >= 5
        assert len(self.links["namespaces"]) >= 2

    def left(self) -> set[object]:
        """What of it is still there; a dead orphan that init has not yet reaped is not."""
        running = {pid for pid in self.pids if alive(pid)}
        now = {path.name for path in Path("/run/netns").iterdir()}
        namespaces = self.links["namespaces"] & now
        states = links_of(self.process.pid)["states"]
        return running | namespaces | states | {path for path in self.cgroups if path.exists()}


@pytest.mark.measured
def test_a_short_live_run_measures_both_sides_and_leaves_nothing(tmp_path):
    file = tmp_path / "summary.json"
    words = ("--profile", "5g", "--tasks", "8", "--max-local", "0.1", "--watch")
    words += ("--json", str(file))
    run = Watched(command(tmp_path, *words, program="evaluate.py"))
    printed, errors = run.process.communicate(timeout=110)
    if run.process.returncode == 3:
        pytest.skip(f"this machine became too busy for a live run: {errors}")
    assert run.process.returncode == 0, errors
    # --watch: a line a task, one more on the policies after the last, and events for TensorBoard.
    watched = [line.split()[0] for line in printed.splitlines() if "/8 " in line]
    assert watched == [f"{number}/8" for number in (*range(1, 9), 8)]
    assert list((tmp_path / "none").glob("*-5g-watch/tensorboard/events*"))
    summary = json.loads(file.read_text())
    assert (summary["mode"], summary["backend"], summary["decisions"]) == ("live", "uml", 8)
    assert summary["policies"]["maui-true"]["accuracy"][0] == 1.0
    assert summary["policies"]["always-local"]["cost"][0] == pytest.approx(1.0)
    folder = next(path for path in tmp_path.iterdir() if path.name.endswith("5g-live"))
    result = json.loads((folder / "result.json").read_text())
    assert result["details"]["wrong_answers"] == 0
    assert result["details"]["congestion_control"] == "cubic"
    # Set: 16 ms of RTT, 20 Mbit/s up. What a device measures is within a fifth, a few ms.
    link = result["details"]["link_measured_median"]
    assert link["rtt_s"] == pytest.approx(0.016, abs=0.006)
    assert link["uplink_bps"] == pytest.approx(20e6, rel=0.25)
    agreement = json.loads((folder / "agreement.json").read_text())
    assert agreement["pairs"] == 8
    assert agreement["errors"]["set/table"]["local"]["n"] == 8
    back = agreement["errors"]["set/table"].get("upload", {"n": 0})
    assert back["n"] == 8 - agreement["given_up"]
    with (folder / "agreement.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        if (row["component"], row["link"]) == ("upload", "set"):
            assert float(row["predicted_s"]) >= 0.008  # one way of the 16 ms that are set
            assert float(row["measured_s"]) > 0.0
    assert {row["component"] for row in rows} >= {"local", "total"}
    assert not run.left()


def edge_server_of(pids: set[int]) -> int:
    """The pid of the run's edge server, which its workers are children of."""
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in pids}
    (found,) = (pid for pid, words in commands.items() if b"edge_server" in words)
    return found


@pytest.mark.chaos
def test_a_dead_edge_server_ends_the_run_and_is_no_slow_edge(tmp_path):
    run = Watched(command(tmp_path, "--profile", "5g", "--tasks", "40", "--max-local", "0.1"))
    os.kill(edge_server_of(run.pids), signal.SIGKILL)
    _, errors = run.process.communicate(timeout=60)
    assert run.process.returncode == 2
    assert "the edge server ended with status -9" in errors
    assert not list(tmp_path.glob("*-live"))
    assert not run.left()


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_interrupted_in_the_middle_it_leaves_nothing(tmp_path, number, code):
    run = Watched(command(tmp_path, "--profile", "lte", "--tasks", "40", "--max-local", "0.1"))
    time.sleep(1.0)
    # As a terminal does it: the whole process group gets the signal.
    os.killpg(run.process.pid, number)
    _, errors = run.process.communicate(timeout=30)
    assert run.process.returncode == code
    assert "Traceback" not in errors
    assert not run.left()


@pytest.mark.slow
def test_a_live_run_replays_the_trace(tmp_path: Path) -> None:
    file = tmp_path / "live.json"
    words = ("--trace", str(SAMPLE), "--tasks", "3", "--max-local", "0.1")
    words += ("--policies", "maui-measured,always-local", "--json", str(file))
    done = subprocess.run(
        command(tmp_path, *words),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(file.read_text())
    assert (summary["profile"], summary["mode"], summary["backend"]) == ("sample", "live", "uml")
    folder = next(tmp_path.glob("*sample-live"))
    details = json.loads((folder / "result.json").read_text())
    assert details["details"]["trace"] == {"name": "sample", "rows": 40, "length_s": 20.0}
    notes = " ".join(details["notes"])
    assert "downlink: 2 of 40 rows raised to 100 kbit/s" in notes
    assert "rows set" in notes
    with (folder / "decisions.csv").open() as decisions:
        rows = list(csv.DictReader(decisions))
    assert len(rows) == 3
    for row in rows:
        assert row["trace"] == "sample"
        assert 0.0 <= float(row["trace_s"]) < 20.0
