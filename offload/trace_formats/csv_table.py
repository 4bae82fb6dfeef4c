"""CSV with a header: t_s, down_mbps, up_mbps, and where known rtt_ms, loss (of pings), tech."""

from __future__ import annotations

import csv
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
    one_way_loss,
    parse,
    starts_and_end,
)

_HIGH = {
    "down_mbps": MAX_RATE_BPS / 1e6,
    "up_mbps": MAX_RATE_BPS / 1e6,
    "rtt_ms": 2e3 * MAX_DELAY_S,
    "loss": 1.0,
}
_NEEDED = ("t_s", "down_mbps", "up_mbps")


def read(path: Path) -> RawTrace:
    """Read one file. A ping's round trip is split evenly; its loss falls on both ways alike.

    Raises:
        TraceError: a column is missing or twice there, or a line is not as it should be.
    """
    lines = data_lines(path)
    first = next(lines, None)
    if first is None:
        raise TraceError(f"{path}: empty; it must hold a header and rows")
    header = [name.strip() for name in _cells(first[1], f"{path}:{first[0]}")]
    for name in _NEEDED:
        if name not in header:
            raise TraceError(
                f"{path}:{first[0]}: no column {name!r}; a CSV trace needs {', '.join(_NEEDED)}"
            )
    if len(set(header)) < len(header):
        raise TraceError(f"{path}:{first[0]}: a column is there twice: {', '.join(header)}")
    used = [name for name in _HIGH if name in header]
    times: list[float] = []
    columns: dict[str, list[float]] = {name: [] for name in used}
    technologies: list[str] = []
    for number, line in lines:
        where = f"{path}:{number}"
        cells = _cells(line, where)
        if len(cells) != len(header):
            raise TraceError(f"{where}: {len(cells)} cells; the header has {len(header)}")
        row = dict(zip(header, cells, strict=True))
        now = parse(row["t_s"], "t_s", where, MAX_TIME_S)
        check_rising(times, now, where)
        times.append(now)
        for name in used:
            columns[name].append(parse(row[name], name, where, _HIGH[name]))
        if "tech" in row:
            technologies.append(row["tech"].strip())
    t_s, end_s = starts_and_end(times, path)
    found = {name: np.array(values) for name, values in columns.items()}
    half_s = found["rtt_ms"] / 2e3 if "rtt_ms" in found else None
    loss = one_way_loss(found["loss"]) if "loss" in found else None
    return RawTrace(
        t_s=t_s,
        end_s=end_s,
        uplink_bps=found["up_mbps"] * 1e6,
        downlink_bps=found["down_mbps"] * 1e6,
        uplink_delay_s=half_s,
        downlink_delay_s=half_s,
        uplink_loss=loss,
        downlink_loss=loss,
        technologies=tuple(technologies),
    )


def _cells(line: str, where: str) -> list[str]:
    try:
        return next(csv.reader([line]))
    except csv.Error as error:
        raise TraceError(f"{where}: {error}") from error
