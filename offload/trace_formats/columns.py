"""Columns without a header: ``time bandwidth`` (s, Mbit/s), or ``time bandwidth rtt loss``.

The first is how Pensieve (SIGCOMM 2017) keeps its traces; the second adds the round-trip time in
milliseconds and the share of packets lost (0 to 1). The bandwidth is that of the downlink.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from offload.errors import TraceError
from offload.trace_formats.raw import (
    MAX_DELAY_S,
    MAX_RATE_BPS,
    MAX_TIME_S,
    RawTrace,
    check_rising,
    data_lines,
    parse,
    starts_and_end,
)

_COLUMNS = (
    ("bandwidth (Mbit/s)", MAX_RATE_BPS / 1e6),
    ("rtt (ms)", 2e3 * MAX_DELAY_S),
    ("loss (share)", 1.0),
)


def split(line: str) -> list[str]:
    """The line's cells, parted by blanks, commas or both."""
    return [cell for cell in re.split(r"[\s,]+", line) if cell]


def read_bandwidth(path: Path) -> RawTrace:
    """Read a file of two columns.

    Raises:
        TraceError: a line is not as it should be.
    """
    return _read(path, 2)


def read_bandwidth_rtt_loss(path: Path) -> RawTrace:
    """Read a file of four columns; the loss is taken to be each direction's.

    Raises:
        TraceError: a line is not as it should be.
    """
    return _read(path, 4)


def _read(path: Path, width: int) -> RawTrace:
    times: list[float] = []
    rows: list[list[float]] = []
    names = ["time (s)", *(name for name, _ in _COLUMNS[: width - 1])]
    for number, line in data_lines(path):
        where = f"{path}:{number}"
        cells = split(line)
        if len(cells) != width:
            raise TraceError(f"{where}: {len(cells)} columns; there must be {', '.join(names)}")
        now = parse(cells[0], names[0], where, MAX_TIME_S)
        check_rising(times, now, where)
        times.append(now)
        rows.append(
            [
                parse(cell, name, where, high)
                for cell, (name, high) in zip(cells[1:], _COLUMNS, strict=False)
            ]
        )
    t_s, end_s = starts_and_end(times, path)
    table = np.array(rows).T
    if width == 2:
        return RawTrace(t_s, end_s, downlink_bps=table[0] * 1e6)
    return RawTrace(
        t_s,
        end_s,
        downlink_bps=table[0] * 1e6,
        uplink_delay_s=table[1] / 2e3,
        downlink_delay_s=table[1] / 2e3,
        uplink_loss=table[2],
        downlink_loss=table[2],
    )
