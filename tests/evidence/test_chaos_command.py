"""``python -m evidence.chaos`` as it is used: a few kills, Ctrl-C in the middle, going on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

import pytest

from evidence.chaos.__main__ import ChaosOptions, main
from evidence.chaos.history import VARIABLE
from evidence.chaos.plan import row_called
from evidence.chaos.row_process import Order
from evidence.chaos.running_row import RunningRow, Said
from offload.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "evidence.chaos"]
CHAOS = pytest.mark.chaos


def environment_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def processes_with(text: str) -> list[int]:
    """Pids of processes whose environment or command line holds the text, our own left out."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if text in words or text in environment_of(int(folder.name)):
            found.append(int(folder.name))
    return found


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    until_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until_s:
            return False
        time.sleep(0.05)
    return True


def chaos(*words: str, timeout_s: float = 100) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words], cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (ChaosOptions(), "say --short or --full"),
        (ChaosOptions(short=True, full=True), "say --short or --full"),
        (ChaosOptions(short=True, count=0), "--count is 0"),
        (ChaosOptions(short=True, only=("worker-kil",)), "Did you mean 'worker-kill'"),
        (ChaosOptions(short=True, resume=Path("/nowhere")), "no folder of an earlier suite"),
    ],
)
def test_what_cannot_be_done_is_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        main(options)


def test_a_refusal_is_one_line_and_status_2():
    ended = chaos("--short", "--full")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("evidence.chaos: say --short or --full")
    assert ended.stderr.count("\n") == 1


@CHAOS
def test_interrupted_it_leaves_nothing_and_goes_on_where_it_was(tmp_path):
    words = ["--short", "--count", "2", "--only", "worker-kill", "stopped"]
    with subprocess.Popen(
        [*COMMAND, *words, "--out", str(tmp_path)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        # The stops last ten seconds each: it is interrupted in the middle of one, when the kills
        # have passed.
        assert wait_until(
            lambda: (
                bool(list(tmp_path.glob("*/worker-kill/result.json")))
                and bool(list(tmp_path.glob("*/stopped/history.jsonl")))
                and '"fault"' in next(tmp_path.glob("*/stopped/history.jsonl")).read_text()
            ),
            60,
        )
        process.send_signal(signal.SIGINT)
        said = process.stderr.read() if process.stderr else ""
        assert process.wait(30) == 130
    assert "nothing was left running" in said
    assert processes_with(str(tmp_path)) == []
    (folder,) = tmp_path.iterdir()
    assert f"--resume {folder}" in said
    kept = (folder / "worker-kill" / "result.json").stat().st_mtime_ns

    ended = chaos(*words, "--resume", str(folder))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (folder / "worker-kill" / "result.json").stat().st_mtime_ns == kept
    results = json.loads((folder / "chaos.json").read_text())
    assert [(row["name"], row["passed"]) for row in results["rows"]] == [
        ("worker-kill", True),
        ("stopped", True),
    ]
    assert "| **stopped**" in ended.stdout
    assert processes_with(str(tmp_path)) == []


@CHAOS
def test_a_row_that_is_killed_has_failed_and_what_it_left_is_ended(tmp_path):
    said: Said = SimpleQueue()
    order = Order("worker-kill", 1000, True, 0, str(tmp_path))
    row = RunningRow(row_called("worker-kill"), order, said)
    try:
        said.get(timeout=60)  # the first kill is over: server, workers and clients run
        (row_pid,) = [
            pid
            for pid in processes_with(f"{VARIABLE}={tmp_path}")
            if "row_process" in Path(f"/proc/{pid}/cmdline").read_text()
        ]
        os.kill(row_pid, signal.SIGKILL)
        while said.get(timeout=60)[1] is not None:
            pass
        result = row.result()
    finally:
        row.stop()
    assert not result.passed
    assert "ended with -9" in result.error
    assert wait_until(lambda: processes_with(str(tmp_path)) == [], 5)
