"""AlphaRTC's JSON: for each direction a list of rows with a duration (ms) and a capacity (kbit/s).

Rows may add rtt (ms), loss (0 to 1) and jitter (ms, not used here: a trace's jitter is what its
rows show). A direction may be empty.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from offload.errors import TraceError
from offload.trace_formats.raw import (
    MAX_DELAY_S,
    MAX_RATE_BPS,
    MAX_ROWS,
    RawTrace,
    parse,
    read_text,
)
from offload.types import FloatArray

_SHAPE = (
    'it must be {"uplink": {"trace_pattern": [{"duration": ms, "capacity": kbit/s, ...}]}, '
    '"downlink": ...}'
)


@dataclass(frozen=True, slots=True)
class _Direction:
    """Columns of one direction, shape (rows,); rtt_s and loss are None where no row has one."""

    t_s: FloatArray
    end_s: float
    rate_bps: FloatArray
    rtt_s: FloatArray | None
    loss: FloatArray | None

    def at(self, column: FloatArray, t_s: FloatArray) -> FloatArray:
        """The column's value at other times."""
        return column[np.searchsorted(self.t_s, t_s, side="right") - 1]


def read(path: Path) -> RawTrace:
    """Read one file. Directions that change at different times get the rows of both.

    Raises:
        TraceError: not JSON, JSON of another shape, or a value out of range.
    """
    try:
        document = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise TraceError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise TraceError(f"{path}: not JSON that can be read: {error}") from error
    if not isinstance(document, dict):
        raise TraceError(f"{path}: a JSON {type(document).__name__}; {_SHAPE}")
    up = _direction(path, document, "uplink")
    down = _direction(path, document, "downlink")
    there = [direction for direction in (up, down) if direction is not None]
    if not there:
        raise TraceError(f"{path}: neither direction has a row; {_SHAPE}")
    end_s = min(direction.end_s for direction in there)
    longest_s = max(direction.end_s for direction in there)
    t_s = np.unique(np.concatenate([direction.t_s for direction in there]))
    t_s = t_s[t_s < end_s]
    remarks = (
        (f"the longer direction is cut from {longest_s:g} s to {end_s:g} s",)
        if longest_s > end_s
        else ()
    )
    return RawTrace(
        t_s,
        end_s,
        uplink_bps=None if up is None else up.at(up.rate_bps, t_s),
        downlink_bps=None if down is None else down.at(down.rate_bps, t_s),
        uplink_delay_s=_delay_s(up, down, t_s),
        downlink_delay_s=_delay_s(down, up, t_s),
        uplink_loss=None if up is None or up.loss is None else up.at(up.loss, t_s),
        downlink_loss=None if down is None or down.loss is None else down.at(down.loss, t_s),
        remarks=remarks,
    )


def _delay_s(
    own: _Direction | None, other: _Direction | None, t_s: FloatArray
) -> FloatArray | None:
    """Half the round trip that the direction names, or else the other does."""
    for direction in (own, other):
        if direction is not None and direction.rtt_s is not None:
            return direction.at(direction.rtt_s, t_s) / 2
    return None


def _direction(path: Path, document: dict[str, Any], name: str) -> _Direction | None:
    part = document.get(name, {})
    if not isinstance(part, dict):
        raise TraceError(f"{path}: {name!r} is a JSON {type(part).__name__}; {_SHAPE}")
    rows = part.get("trace_pattern", [])
    if not isinstance(rows, list) or len(rows) > MAX_ROWS:
        raise TraceError(f"{path}: {name}.trace_pattern must be a list of at most {MAX_ROWS} rows")
    if not rows:
        return None
    length_s, rate_bps, rtt_s, loss = [], [], [], []
    for number, row in enumerate(rows):
        where = f"{path}: {name}.trace_pattern[{number}]"
        if not isinstance(row, dict):
            raise TraceError(f"{where} is a JSON {type(row).__name__}; {_SHAPE}")
        duration_ms = parse(row.get("duration"), "duration (ms)", where, 1e12)
        if duration_ms == 0.0:
            raise TraceError(f"{where}: duration is 0 ms; it must be above 0")
        length_s.append(duration_ms / 1e3)
        rate_bps.append(
            parse(row.get("capacity"), "capacity (kbit/s)", where, MAX_RATE_BPS / 1e3) * 1e3
        )
        rtt_s.append(_optional(row, "rtt", where, 2e3 * MAX_DELAY_S) / 1e3)
        loss.append(_optional(row, "loss", where, 1.0))
    ends = np.cumsum(length_s)
    t_s = np.concatenate([[0.0], ends[:-1]])
    if np.any(np.diff(ends) <= 0.0):
        raise TraceError(f"{path}: {name}: a row is too short to tell its time apart")
    return _Direction(
        t_s, float(ends[-1]), np.array(rate_bps), _column(path, name, "rtt", rtt_s),
        _column(path, name, "loss", loss),
    )  # fmt: skip


def _optional(row: dict[str, Any], key: str, where: str, high: float) -> float:
    return parse(row[key], key, where, high) if key in row else np.nan


def _column(path: Path, direction: str, key: str, values: list[float]) -> FloatArray | None:
    """A column that all rows have; None where none has it."""
    column = np.array(values)
    missing = np.isnan(column)
    if missing.all():
        return None
    if missing.any():
        row = int(np.flatnonzero(missing)[0])
        raise TraceError(
            f"{path}: {direction}.trace_pattern[{row}] has no {key!r}, but other rows do"
        )
    return column
