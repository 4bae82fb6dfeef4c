"""Runs of trainings compared bit by bit, and ``train.py`` as a process that can be ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agents.checkpoint import newest_checkpoint, stored_checkpoints

ROOT = Path(__file__).resolve().parents[2]
QUIET = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}


def state(run: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """All of a run's last checkpoint but the clock: weights, optimiser, buffers, generators."""
    checkpoint, notes = newest_checkpoint(run)
    assert notes == []
    facts = json.loads(json.dumps(checkpoint.facts))
    del facts["watch"]["seconds"]
    for row in facts["watch"]["curve"]:
        del row["seconds"]
    arrays = {name: value.tobytes() for name, value in checkpoint.arrays.items()}
    return facts, arrays


def assert_same_bits(one: Path, other: Path) -> None:
    facts, arrays = state(one)
    facts_again, arrays_again = state(other)
    assert facts == facts_again
    assert arrays.keys() == arrays_again.keys()
    assert [name for name in arrays if arrays[name] != arrays_again[name]] == []
    for name in ("weights.npz", "policy.json"):
        assert (one / "bundle" / name).read_bytes() == (other / "bundle" / name).read_bytes()


def steps_kept(run: Path) -> int:
    """Steps that the newest checkpoint holds; 0: there is none."""
    stored = stored_checkpoints(run)
    return int(stored[0].stem) if stored else 0


QUICK = str(Path(__file__).with_name("quick_train.py"))


@contextmanager
def training(*words: str) -> Iterator[subprocess.Popen[str]]:
    """``train.py`` at work; whatever happens, it is not left running."""
    process = subprocess.Popen(
        [sys.executable, QUICK, *words],
        cwd=ROOT,
        env=QUIET,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_until(
    true: Callable[[], bool], process: subprocess.Popen[str] | None = None, limit_s: float = 80
) -> None:
    limit = time.monotonic() + limit_s
    while not true():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < limit, "it has not come to that"
        time.sleep(0.02)
