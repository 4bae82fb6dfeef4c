"""What checkpoints cost a training: its own time, the writing thread's, and the disk's.

``python benchmarks/checkpoints.py`` trains with and without checkpoints in turn and compares the
CPU seconds of the training thread, which a busy machine disturbs less than the clock; then it
times each state taken (training waits) and each file written (it does not).
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any
from unittest.mock import patch

import tyro
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

NEVER_S = 1e9
ALGORITHMS = ("ppo", "dqn")


@dataclass(frozen=True)
class Options:
    """Compare trainings with and without checkpoints."""

    steps: Annotated[int, tyro.conf.arg(metavar="N")] = 600_000
    """Decisions of each training."""
    rounds: Annotated[int, tyro.conf.arg(metavar="N")] = 3
    """Trainings of each kind; medians are shown."""
    every: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = 10.0
    """Time between checkpoints."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the figures to this file."""


def _timed(function: Callable[..., Any], into: list[float]) -> Callable[..., Any]:
    def run(*arguments: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            into.append(time.perf_counter() - start)

    return run


def train_once(algorithm: str, steps: int, every_s: float) -> dict[str, Any]:
    """One training: CPU seconds of its thread, seconds of each state and file, bytes of the last.

    The first checkpoint, of an empty replay buffer, is left out.
    """
    from agents import checkpoint, checkpoint_state
    from agents.train_config import TrainConfig
    from agents.training import train

    cpu_s: list[float] = []
    taken_s: list[float] = []
    written_s: list[float] = []
    take, write = checkpoint_state.take_state, checkpoint.Checkpoint.write
    with (
        tempfile.TemporaryDirectory() as runs,
        patch.object(checkpoint_state, "take_state", _timed(take, taken_s)),
        patch.object(checkpoint.Checkpoint, "write", _timed(write, written_s)),
    ):
        result = train(
            TrainConfig(algorithm, steps=steps),
            Path(runs),
            tensorboard=False,
            progress=False,
            on_check=lambda _: cpu_s.append(time.thread_time()),
            checkpoint_every_s=every_s,
        )
        (last,) = checkpoint.stored_checkpoints(result.folder)
        size = last.stat().st_size
    return {
        "cpu_s": cpu_s[-1] - cpu_s[0],
        "taken_s": taken_s[1:],
        "written_s": written_s[1:],
        "bytes": size,
    }


def measure(algorithm: str, options: Options) -> dict[str, Any]:
    """Trainings with and without, in turn."""
    kinds: dict[str, list[dict[str, Any]]] = {"without": [], "with": []}
    for _ in range(options.rounds):
        for kind, every_s in (("without", NEVER_S), ("with", options.every)):
            kinds[kind].append(train_once(algorithm, options.steps, every_s))
    runs = kinds["with"]
    taken_s = [s for run in runs for s in run["taken_s"]]
    written_s = [s for run in runs for s in run["written_s"]]
    without, with_them = (median(run["cpu_s"] for run in kinds[k]) for k in ("without", "with"))
    return {
        "algorithm": algorithm,
        "steps": options.steps,
        "rounds": options.rounds,
        "every_s": options.every,
        "cpu_s_without": without,
        "cpu_s_with": with_them,
        "slower_share": with_them / without - 1.0,
        "checkpoints": len(taken_s),
        "state_s_median": median(taken_s),
        "state_s_max": max(taken_s),
        "file_s_median": median(written_s),
        "file_s_max": max(written_s),
        "file_bytes": runs[-1]["bytes"],
    }


def main(options: Options) -> None:
    """Measure and print."""
    found = [measure(algorithm, options) for algorithm in ALGORITHMS]
    table = Table(title=f"a checkpoint every {options.every:g} s; {options.rounds} rounds in turn")
    for heading in (
        "algorithm",
        "CPU s without",
        "CPU s with",
        "slower %",
        "checkpoints",
        "training waits ms (max)",
        "file written ms (max)",
        "MiB",
    ):
        table.add_column(heading, justify="right")
    for each in found:
        table.add_row(
            each["algorithm"],
            f"{each['cpu_s_without']:.2f}",
            f"{each['cpu_s_with']:.2f}",
            f"{100 * each['slower_share']:+.1f}",
            str(each["checkpoints"]),
            f"{1e3 * each['state_s_median']:.1f} ({1e3 * each['state_s_max']:.1f})",
            f"{1e3 * each['file_s_median']:.0f} ({1e3 * each['file_s_max']:.0f})",
            f"{each['file_bytes'] / 2**20:.1f}",
        )
    Console(width=120).print(table)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
