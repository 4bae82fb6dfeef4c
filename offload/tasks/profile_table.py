"""The measured cost of each task: what the simulator draws its tasks from.

The shipped table is ``data/profiles.json``; ``python -m offload.tasks.profile`` measures another.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from offload.errors import ConfigError

SHIPPED = Path(__file__).with_name("data") / "profiles.json"
"""The table that comes with the package."""


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """One kind and size, measured over several seeds.

    Attributes:
        kind: the task.
        size: the size of its input.
        local_s: median seconds on the device (under the CPU limit).
        edge_s: median seconds on a full core.
        local_spread: standard deviation of the logarithm of local seconds, across seeds.
        edge_spread: the same of edge seconds.
        input_bytes: median bytes of the encoded input.
        output_bytes: median bytes of the encoded output.
        input_spread: standard deviation of the logarithm of input bytes, across seeds.
        output_spread: the same of output bytes.
        samples: seeds measured.
    """

    kind: str
    size: str
    local_s: float
    edge_s: float
    local_spread: float
    edge_spread: float
    input_bytes: float
    output_bytes: float
    input_spread: float
    output_spread: float
    samples: int


@dataclass(frozen=True)
class ProfileTable:
    """Measured rows, and under which circumstances they were measured.

    Attributes:
        rows: one a kind and size, in the order measured.
        slowdown: times slower the device was than a full core.
        machine: model and number of CPU cores.
        method: how seconds were measured and the device slowed down.
        created: date of the measurement, ISO 8601.
        command: the command that made it.
    """

    rows: tuple[ProfileRow, ...]
    slowdown: float
    machine: str
    method: str
    created: str
    command: str = ""


def load_profile_table(path: Path | None = None) -> ProfileTable:
    """Read a table.

    Args:
        path: the file; None for the shipped one.

    Raises:
        ConfigError: the file is missing, not a table, or holds impossible numbers; the message
            names the file and what is wrong.
    """
    path = SHIPPED if path is None else path
    try:
        table = msgspec.json.decode(path.read_bytes(), type=ProfileTable)
    except OSError as error:
        raise ConfigError(
            f"profile table {path} cannot be read ({error.strerror}); measure one with "
            f"python -m offload.tasks.profile --out {path}"
        ) from error
    except msgspec.MsgspecError as error:
        raise ConfigError(f"profile table {path} is not a profile table: {error}") from error
    check_table(table, f"profile table {path}")
    return table


def check_table(table: ProfileTable, name: str) -> None:
    """Refuse a table with impossible numbers.

    Args:
        name: what the message calls it.

    Raises:
        ConfigError: the message says which row and what is wrong.
    """
    if not table.rows:
        raise ConfigError(f"{name} has no rows")
    if not table.slowdown >= 1.0:
        raise ConfigError(f"{name}: slowdown {table.slowdown} is not 1 or more")
    seen: set[tuple[str, str]] = set()
    for number, row in enumerate(table.rows):
        fault = _fault(row)
        if (row.kind, row.size) in seen:
            fault = "the kind and size occur twice"
        if fault is not None:
            raise ConfigError(f"{name}, row {number} ({row.kind} {row.size}): {fault}")
        seen.add((row.kind, row.size))


def save_profile_table(table: ProfileTable, path: Path) -> None:
    """Write a table, whole or not at all.

    Raises:
        ConfigError: the file cannot be written.
    """
    text = msgspec.json.format(msgspec.json.encode(table), indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text + b"\n")
            # mkstemp makes files for the owner alone; a table is for everyone.
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise ConfigError(f"profile table {path} cannot be written: {error}") from error


def _fault(row: ProfileRow) -> str | None:
    """What is impossible about a row, if anything is."""
    for name in ("local_s", "edge_s", "input_bytes", "output_bytes"):
        value = getattr(row, name)
        if not 0.0 < value < float("inf"):
            return f"{name} is {value}, not a positive number"
    for name in ("local_spread", "edge_spread", "input_spread", "output_spread"):
        value = getattr(row, name)
        if not 0.0 <= value < float("inf"):
            return f"{name} is {value}, not 0 or more"
    if row.samples < 1:
        return f"samples is {row.samples}, not 1 or more"
    return None
