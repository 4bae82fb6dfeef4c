"""Peak memory of training, of a live evaluation, and of an idle edge server.

``python benchmarks/memory.py`` samples the proportional set size (PSS: shared pages are divided
among those who share them) of a command and all its descendants ten times a second.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import tyro
from rich.console import Console
from rich.table import Table

_MIB = 1024.0  # KiB
Part: TypeAlias = Literal["training", "evaluation", "server"]
PARTS: tuple[Part, ...] = get_args(Part)


def _descendants(root: int) -> set[int]:
    """The process and all that descend from it."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
            parents[int(entry.name)] = int(fields[1])
    found = {root}
    while grown := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= grown
    return found


def pss_mib(root: int) -> float:
    """Proportional set size of a process and its descendants, MiB."""
    total = 0.0
    for pid in _descendants(root):
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended meanwhile, or is not ours
        total += sum(int(line.split()[1]) for line in text.splitlines() if line[:4] == "Pss:")
    return total / _MIB


def peak_mib(command: list[str], until_s: float | None = None) -> float:
    """Peak of a command, run to its end, or for so many seconds and then ended."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    start = time.monotonic()
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, pss_mib(process.pid))
        if until_s is not None and time.monotonic() - start > until_s:
            process.terminate()
            process.wait()
        time.sleep(0.1)
    if until_s is None and process.returncode != 0:
        raise RuntimeError(f"{command} ended with status {process.returncode}")
    return peak


@dataclass(frozen=True)
class Options:
    """Measure a training, a live evaluation and an idle server."""

    steps: int = 300_000
    """Of the training."""
    tasks: int = 26
    """Of the live evaluation."""
    idle_s: float = 6.0
    """Seconds that the server is watched for."""
    parts: tuple[Part, ...] = PARTS
    """Which of the three."""


def main(options: Options) -> None:
    """Measure the three and print them beside their bounds."""
    python = sys.executable
    with tempfile.TemporaryDirectory() as folder:
        out = ["--out", folder]
        rows = (
            (
                "training, PPO",
                1536,
                [python, "train.py", "--steps", f"{options.steps}", *out],
                None,
            ),
            (
                "live evaluation",
                2560,
                [python, "evaluate.py", "--tasks", f"{options.tasks}", *out],
                None,
            ),
            (
                "edge server, idle, 2 workers",
                400,
                [python, "-m", "edge_server", "--port", "0", "--workers", "2"],
                options.idle_s,
            ),
        )
        shown = Table("what", "peak MiB (PSS)", "bound MiB", title="Memory, all processes")
        for part, (name, bound, command, until_s) in zip(PARTS, rows, strict=True):
            if part not in options.parts:
                continue
            shown.add_row(name, f"{peak_mib(command, until_s):.0f}", f"{bound}")
    Console().print(shown)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
