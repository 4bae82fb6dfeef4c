"""Real tasks with known answers; one module each.

Importing this package loads no task: OpenCV, ONNX Runtime and the like are imported when a task is
first asked for, in the process that runs it.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
from typing import TYPE_CHECKING

from offload.errors import TaskError, UnknownNameError

if TYPE_CHECKING:
    from offload.tasks.task import Task

__all__ = ["KINDS", "get_task", "unavailable"]

_MODULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "chess": ("offload.tasks.chess_search", ("chess",)),
    "sudoku": ("offload.tasks.sudoku", ("numpy",)),
    "ocr": ("offload.tasks.ocr", ("rapidocr", "onnxruntime", "PIL")),
    "face": ("offload.tasks.face", ("cv2", "skimage", "PIL")),
    "blur": ("offload.tasks.blur", ("cv2", "skimage", "PIL")),
    "denoise": ("offload.tasks.denoise", ("cv2", "skimage", "PIL")),
    "lzma": ("offload.tasks.lzma_compress", ("lzma", "numpy")),
    "matmul": ("offload.tasks.matmul", ("numpy", "threadpoolctl")),
}
"""Kind -> (module, what it imports). The allow-list: no other name is ever imported."""

_PIP_NAMES = {
    "PIL": "pillow",
    "chess": "-r requirements-chess.txt",
    "cv2": "'opencv-python-headless<5'",
    "skimage": "scikit-image",
}

KINDS: tuple[str, ...] = tuple(_MODULES)
"""The kinds a request may name, whether or not they can run on this machine."""


def unavailable() -> dict[str, str]:
    """Kinds that cannot run here, each with the reason and the command that would fix it."""
    reasons: dict[str, str] = {}
    for kind, (_, packages) in _MODULES.items():
        missing = [name for name in packages if importlib.util.find_spec(name) is None]
        if missing:
            names = " ".join(_PIP_NAMES.get(name, name) for name in missing)
            reasons[kind] = f"{', '.join(missing)} is not installed: pip install {names}"
        elif kind == "face" and _opencv_major() >= 5:
            reasons[kind] = "OpenCV 5 has no Haar cascades: pip install 'opencv-python-headless<5'"
    return reasons


def get_task(kind: str) -> Task:
    """The task of that kind, its module imported now if it was not yet.

    Raises:
        TaskError: no such kind (the message suggests the nearest), or a package it needs is
            missing (the message says how to install it).
    """
    if kind not in _MODULES:
        raise TaskError(str(UnknownNameError("task", kind, KINDS)))
    return _load(kind)


@functools.cache
def _load(kind: str) -> Task:
    reason = unavailable().get(kind)
    if reason is not None:
        raise TaskError(f"task {kind!r} cannot run here: {reason}")
    task: Task = importlib.import_module(_MODULES[kind][0]).TASK
    return task


def _opencv_major() -> int:
    """OpenCV's major version, from the first of its packages that is installed; 0 if unknown."""
    for package in (
        "opencv-python-headless",
        "opencv-python",
        "opencv-contrib-python-headless",
        "opencv-contrib-python",
    ):
        try:
            return int(importlib.metadata.version(package).split(".")[0])
        except importlib.metadata.PackageNotFoundError:
            continue
    return 0
