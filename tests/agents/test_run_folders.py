"""Run folders: which one is found, and what an unusable one says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.run_directory import (
    MAX_JSON_BYTES,
    make_folder,
    new_run_folder,
    read_json,
    runs_with_bundles,
    write_json,
)
from offload.errors import ConfigError


def _run(root: Path, name: str, algorithm: str, objective: str) -> Path:
    bundle = root / name / "bundle"
    bundle.mkdir(parents=True)
    write_json(bundle / "policy.json", {"algorithm": algorithm, "objective": objective})
    return root / name


def test_the_newest_run_of_algorithm_and_objective(tmp_path: Path) -> None:
    oldest = _run(tmp_path, "20260101-120000-ppo-mixed-seed0", "ppo", "mixed")
    newest = _run(tmp_path, "20260102-090000-ppo-mixed-seed0", "ppo", "mixed")
    dqn = _run(tmp_path, "20260103-090000-dqn-mixed-seed0", "dqn", "mixed")
    energy = _run(tmp_path, "20260104-090000-ppo-energy-seed1", "ppo", "energy")
    (tmp_path / "20260105-090000-ppo-mixed-seed9").mkdir()  # still training
    (tmp_path / "notes.txt").write_text("not a run")

    def found(algorithm: str, objective: str, root: Path = tmp_path) -> list[Path]:
        return list(runs_with_bundles(root, algorithm, objective, notes))

    notes: list[str] = []
    assert found("ppo", "mixed") == [newest, oldest]
    assert found("dqn", "mixed") == [dqn]
    assert found("ppo", "energy") == [energy]
    assert found("dqn", "energy") == []
    assert found("ppo", "mixed", tmp_path / "none") == []
    assert notes == []
    (dqn / "bundle" / "policy.json").write_text("[" + " " * MAX_JSON_BYTES + "]")
    assert found("ppo", "mixed") == [newest, oldest]
    (note,) = notes
    assert note.startswith(f"{dqn} is passed over: ")
    assert "holds more than 4,194,304 bytes" in note


def test_two_runs_of_one_second_get_two_folders(tmp_path: Path) -> None:
    folders = {new_run_folder(tmp_path, "ppo") for _ in range(5)}
    assert len(folders) == 5
    assert all(folder.is_dir() for folder in folders)


def test_a_folder_that_cannot_be_made_names_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot write to .*file/runs.*--out"):
        make_folder(tmp_path / "file" / "runs")
    assert list(make_folder(tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("text", ["{", "[]", "3", "[" * 100_000, "\udcff"])
def test_json_that_is_no_object_is_one_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "status.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=r"status\.json") as caught:
        read_json(path)
    assert "\n" not in str(caught.value)


def test_json_is_written_whole(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": [1, None]})
    write_json(tmp_path / "a.json", {"x": 2})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
