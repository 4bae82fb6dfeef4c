"""The whole suite in its short form: every fault of its table, judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evidence.chaos.plan import ROWS, row_called

ROOT = Path(__file__).resolve().parents[2]
_LIMIT_S = 600
TIMED = ("server-kill", "stopped", "link", "idle-sockets", "overload")
"""Rows that bound seconds or rates; the others count, and hold on a busy machine too."""
COUNTED = tuple(row.name for row in ROWS if row.name not in TIMED)


def short_form(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evidence.chaos", "--short", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.timeout(2 * _LIMIT_S)
@pytest.mark.parametrize(
    "names",
    [pytest.param(TIMED, id="timed", marks=pytest.mark.alone), pytest.param(COUNTED, id="counted")],
)
def test_every_row_of_the_short_form_passes(tmp_path: Path, names: tuple[str, ...]) -> None:
    ended = short_form("--only", *names, "--out", str(tmp_path))
    (folder,) = tmp_path.iterdir()
    print(ended.stdout)
    if ended.returncode == 1:
        # Rows that time things on a busy machine have a second try; what has passed is kept. A row
        # whose history broke an invariant has none.
        rows = json.loads((folder / "chaos.json").read_text())["rows"]
        broken = {row["name"]: row["examples"] for row in rows if any(row["broken"].values())}
        assert not broken, ended.stdout + ended.stderr
        ended = short_form("--only", *names, "--resume", str(folder))
        print(ended.stdout)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = json.loads((folder / "chaos.json").read_text())["rows"]
    assert [(row["name"], row["passed"]) for row in rows] == [(name, True) for name in names]
    assert [row["count"] for row in rows] == [row_called(name).short for name in names]
