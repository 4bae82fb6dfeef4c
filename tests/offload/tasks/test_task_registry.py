"""The registry of tasks: an allow-list that loads nothing until it is asked."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import offload.tasks
from offload.errors import TaskError
from offload.tasks import KINDS, get_task, unavailable


def test_the_kinds() -> None:
    assert KINDS == ("chess", "sudoku", "ocr", "face", "blur", "denoise", "lzma", "matmul")
    for kind in set(KINDS) - set(unavailable()):
        task = get_task(kind)
        assert task.kind == kind
        assert task.sizes == ("small", "medium", "large")
        assert get_task(kind) is task


def test_an_unknown_kind_gets_the_nearest_suggested() -> None:
    with pytest.raises(TaskError, match="Did you mean 'sudoku'"):
        get_task("sodoku")
    for name in ("os", "offload.tasks.ocr", "../face", ""):
        with pytest.raises(TaskError, match="unknown task"):
            get_task(name)


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "chess" else find_spec(name)
    )
    offload.tasks._load.cache_clear()
    try:
        assert set(unavailable()) >= {"chess"}
        with pytest.raises(TaskError, match=r"pip install -r requirements-chess\.txt"):
            get_task("chess")
    finally:
        offload.tasks._load.cache_clear()


def test_opencv_5_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offload.tasks, "_opencv_major", lambda: 5)
    assert "opencv-python-headless<5" in unavailable()["face"]
    assert "blur" not in unavailable()


def test_importing_the_registry_loads_no_task() -> None:
    script = (
        "import sys, offload.tasks; offload.tasks.unavailable();"
        "print([m for m in ('cv2', 'onnxruntime', 'rapidocr', 'chess', 'PIL', 'numpy', 'skimage')"
        " if m in sys.modules])"
    )
    root = Path(offload.tasks.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
