"""The profile table: the shipped one is whole, bad ones are refused by name, the profiler works."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from offload.errors import ConfigError
from offload.tasks import KINDS
from offload.tasks.profile import ProfileConfig, _command, measure
from offload.tasks.profile_report import as_markdown, break_even_bps, cells
from offload.tasks.profile_table import (
    SHIPPED,
    ProfileRow,
    load_profile_table,
    save_profile_table,
)

ROOT = Path(__file__).parents[3]


def test_the_shipped_table_holds_every_task_and_makes_sense() -> None:
    table = load_profile_table()
    assert [(row.kind, row.size) for row in table.rows] == [
        (kind, size) for kind in KINDS for size in ("small", "medium", "large")
    ]
    assert table.slowdown == 4.0
    assert table.machine
    assert table.command.startswith("python -m offload.tasks.profile")
    for row in table.rows:
        assert 3.0 <= row.local_s / row.edge_s <= 6.0, (row.kind, row.size)
    cost = {(row.kind, row.size): row for row in table.rows}
    # The pair: the same bytes up, yet one works ten times longer on them.
    blur, denoise = cost["blur", "large"], cost["denoise", "large"]
    assert blur.input_bytes == pytest.approx(denoise.input_bytes, rel=0.1)
    assert denoise.edge_s > 10 * blur.edge_s

    # Tiny data and steep work; data-heavy; never worth it.
    bps = {kind: break_even_bps(cost[kind, "large"]) for kind in KINDS}
    assert bps["chess"] < 1e4 < bps["ocr"] < 1e6 < bps["lzma"] < bps["blur"] < 3e8 < bps["matmul"]


def _shipped() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(SHIPPED.read_text())
    return content


def _spoil(key: str, value: object) -> dict[str, Any]:
    content = _shipped()
    content["rows"][1][key] = value
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a profile table"),
        ("[]", "not a profile table"),
        (_shipped() | {"rows": []}, "no rows"),
        (_shipped() | {"slowdown": 0.5}, "slowdown 0.5"),
        ({k: v for k, v in _shipped().items() if k != "machine"}, "machine"),
        (_spoil("local_s", -1.0), r"row 1 \(chess medium\): local_s is -1.0"),
        (_spoil("output_bytes", 0.0), "output_bytes is 0.0"),
        (_spoil("edge_spread", -0.1), "edge_spread is -0.1"),
        (_spoil("samples", 0), "samples is 0"),
        (_spoil("local_s", "fast"), "Expected `float`"),
        (_spoil("size", "small"), "occur twice"),
    ],
)
def test_a_bad_table_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    file = tmp_path / "bad.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ConfigError, match=message) as caught:
        load_profile_table(file)
    assert str(file) in str(caught.value)


def test_a_missing_table_says_how_to_measure_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"python -m offload\.tasks\.profile"):
        load_profile_table(tmp_path / "none.json")


def test_a_table_survives_the_disk(tmp_path: Path) -> None:
    table = load_profile_table()
    save_profile_table(table, tmp_path / "sub" / "copy.json")
    assert load_profile_table(tmp_path / "sub" / "copy.json") == table
    assert [file.name for file in (tmp_path / "sub").iterdir()] == ["copy.json"]


def test_the_profiler_end_to_end(tmp_path: Path) -> None:
    out = tmp_path / "profiles.json"
    command = [sys.executable, "-m", "offload.tasks.profile", "--kinds", "blur", "sudoku",
               "--sizes", "small", "--seeds", "3", "--repeats", "1",
               "--out", str(out)]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "blur" in done.stdout
    table = load_profile_table(out)
    assert [(row.kind, row.size, row.samples) for row in table.rows] == [
        ("blur", "small", 3),
        ("sudoku", "small", 3),
    ]
    assert table.rows[1].input_bytes == 81
    assert table.rows[1].input_spread == 0
    for row in table.rows:
        assert row.local_s > 2 * row.edge_s
        assert math.isfinite(row.local_spread)
    assert table.command == (
        "python -m offload.tasks.profile --seeds 3 --repeats 1 --kinds blur sudoku --sizes small"
    )


def test_the_command_line_refuses_in_one_line() -> None:
    command = [sys.executable, "-m", "offload.tasks.profile", "--kinds", "sodoku"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Did you mean 'sudoku'" in done.stderr


def test_too_few_seeds_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 seeds"):
        measure(ProfileConfig(seeds=2))


def test_the_default_command_is_short() -> None:
    assert _command(ProfileConfig()) == "python -m offload.tasks.profile"


def test_the_documentation_shows_the_shipped_table() -> None:
    document = (ROOT / "docs" / "tasks.md").read_text()
    begin, end = "<!-- python -m offload.tasks.profile_report -->\n", "<!-- end -->"
    shown = document.partition(begin)[2].partition(end)[0]
    assert shown.strip() == as_markdown(load_profile_table()).strip()


def test_break_even() -> None:
    row = ProfileRow("blur", "small", 4.0, 1.0, 0.1, 0.1, 2_000_000.0, 1_000_000.0, 0.0, 0.0, 3)
    # 24 Mbit in the 3 s that the edge saves.
    assert break_even_bps(row) == 8e6
    assert cells(row)[-1] == "8"
