"""``python -m offload.tasks.profile``: measures every task on this machine, both sides.

Both sides run through the same executor, in child processes of their own. The edge's seconds are
CPU seconds, which for one thread on a core of its own are wall seconds, and which other load on
this machine does not stretch; the device's are wall seconds under the CPU limit. Of the repeats of
one seed the fastest counts, since other load can only add time; the median and the spread are then
taken across seeds.
"""

from __future__ import annotations

import datetime
import math
import os
import statistics
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from offload.errors import ConfigError, OffloadError, TaskError
from offload.tasks import KINDS, get_task, unavailable
from offload.tasks.profile_report import HEADINGS, cells
from offload.tasks.profile_table import ProfileRow, ProfileTable, save_profile_table

if TYPE_CHECKING:
    from offload.local_executor import LocalExecutor

_BUDGET_S = 120.0
_FEWEST_SEEDS = 3
_TABLE_COLUMNS = 112
"""Width of the printed table; narrower, where no terminal says its width, it would be cut."""
_FIRST_SEED = 1000
"""The seeds count from here; a live run draws its own at random from the same 31 bits."""


@dataclass(frozen=True)
class ProfileConfig:
    """Measure the tasks on this machine and write the table the simulator draws from."""

    out: Path = Path("results/profiles.json")
    """File to write."""
    slowdown: float = 4.0
    """Times slower the device is than a full core."""
    kinds: tuple[str, ...] = KINDS
    """Tasks to measure."""
    sizes: tuple[str, ...] = ("small", "medium", "large")
    """Sizes to measure."""
    seeds: int = 15
    """Different inputs a size, if time allows; at least 3."""
    repeats: int = 2
    """Runs of each input on each side; the fastest counts."""
    row_s: float = 18.0
    """Seconds after which a size gets no further seed, once it has 3."""
    core: int | None = None
    """CPU core to pin both sides to; the last one this process may use if not given."""


def measure(config: ProfileConfig) -> ProfileTable:
    """Measure the table ``config`` asks for, with a progress bar on a terminal.

    Raises:
        ConfigError: a number out of bounds.
        TaskError: a kind is unknown or cannot run here, or a task gave a wrong answer.
    """
    from tqdm import tqdm

    from offload.local_executor import LocalExecutor

    if config.seeds < _FEWEST_SEEDS or config.repeats < 1:
        raise ConfigError(
            f"{config.seeds} seeds and {config.repeats} repeats: at least {_FEWEST_SEEDS} "
            "and 1 are needed"
        )
    core = max(os.sched_getaffinity(0)) if config.core is None else config.core
    pairs = [(kind, size) for kind in config.kinds for size in config.sizes]
    rows: list[ProfileRow] = []
    with (
        LocalExecutor(1.0, core) as edge,
        LocalExecutor(config.slowdown, core) as device,
        tqdm(pairs, unit="size", disable=None) as bar,
    ):
        for kind in config.kinds:
            edge.warm_up([kind])
            device.warm_up([kind])
        for kind, size in bar:
            bar.set_description(f"{kind} {size}")
            rows.append(_row(kind, size, edge, device, config))
        limit = device.limit
    return ProfileTable(
        rows=tuple(rows),
        slowdown=config.slowdown,
        machine=machine(),
        method=(
            "one thread in a child process pinned to one core; edge: CPU seconds; device: wall "
            f"seconds under {limit.method} ({limit.reason}); best of {config.repeats} runs a seed, "
            "median and log spread over seeds; every answer checked"
        ),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=_command(config),
    )


def _row(
    kind: str, size: str, edge: LocalExecutor, device: LocalExecutor, config: ProfileConfig
) -> ProfileRow:
    """Measure one kind and size over several seeds."""
    task = get_task(kind)
    edge_s: list[float] = []
    local_s: list[float] = []
    inputs: list[int] = []
    outputs: list[int] = []
    start = time.monotonic()
    for seed in range(_FIRST_SEED, _FIRST_SEED + config.seeds):
        if len(inputs) >= _FEWEST_SEEDS and time.monotonic() - start > config.row_s:
            break
        payload = task.make_input(size, seed)
        output, seconds = _best(edge, kind, size, seed, payload, config.repeats)
        if not task.check(size, seed, output):
            raise TaskError(f"{kind} {size}, seed {seed}: the answer is wrong")
        edge_s.append(seconds)
        output, seconds = _best(device, kind, size, seed, payload, config.repeats)
        local_s.append(seconds)
        inputs.append(len(payload))
        outputs.append(len(output))
    return ProfileRow(
        kind=kind,
        size=size,
        local_s=_significant(statistics.median(local_s)),
        edge_s=_significant(statistics.median(edge_s)),
        local_spread=_log_spread(local_s),
        edge_spread=_log_spread(edge_s),
        input_bytes=statistics.median(inputs),
        output_bytes=statistics.median(outputs),
        input_spread=_log_spread(inputs),
        output_spread=_log_spread(outputs),
        samples=len(inputs),
    )


def _best(
    side: LocalExecutor, kind: str, size: str, seed: int, payload: bytes, repeats: int
) -> tuple[bytes, float]:
    """The output and the fastest of ``repeats`` runs."""
    from offload.types import Outcome, TaskInstance

    best = math.inf
    for _ in range(repeats):
        result = side.execute(TaskInstance(kind, size, seed), payload, _BUDGET_S)
        if result.outcome is not Outcome.LOCAL_OK:
            raise TaskError(f"{kind} {size}, seed {seed}: {result.detail}")
        full_core = side.limit.method == "none"
        best = min(best, side.last_cpu_s if full_core else result.cost.compute_s)
    return result.output, best


def _log_spread(values: Iterable[float]) -> float:
    """Standard deviation of the natural logarithms (of a sample)."""
    return _significant(statistics.stdev(math.log(value) for value in values))


def _significant(value: float) -> float:
    """Four significant digits: more would pretend."""
    return float(f"{value:.4g}")


def machine() -> str:
    """Model of the CPU and number of cores; no name of a host."""
    model = "unknown CPU"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return f"{model}, {os.cpu_count()} cores"


def _command(config: ProfileConfig) -> str:
    """The command line that gives this configuration, defaults left out."""
    words = ["python -m offload.tasks.profile"]
    default = ProfileConfig()
    for name in ("slowdown", "seeds", "repeats", "row_s"):
        value = getattr(config, name)
        if value != getattr(default, name):
            words.append(f"--{name.replace('_', '-')} {value:g}")
    for name in ("kinds", "sizes"):
        value = getattr(config, name)
        if value != getattr(default, name):
            words.append(f"--{name} {' '.join(value)}")
    return " ".join(words)


def _print(table: ProfileTable) -> None:
    from rich.console import Console
    from rich.table import Table

    grid = Table(title=f"{table.machine}; device {table.slowdown:g}x slower")
    for heading in HEADINGS:
        left = heading in ("task", "size")
        grid.add_column(heading, justify="left" if left else "right", no_wrap=True)
    for row in table.rows:
        grid.add_row(*cells(row))
    Console(width=max(Console().width, _TABLE_COLUMNS)).print(grid)


def main() -> int:
    """The command line; 0, or 2 after one line about what was wrong."""
    import tyro

    config = tyro.cli(ProfileConfig, prog="python -m offload.tasks.profile")
    try:
        missing = {kind: why for kind, why in unavailable().items() if kind in config.kinds}
        for why in missing.values():
            raise TaskError(why)
        table = measure(config)
        save_profile_table(table, config.out)
    except OffloadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    _print(table)
    print(f"written to {config.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
