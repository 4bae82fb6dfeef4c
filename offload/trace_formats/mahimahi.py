"""Mahimahi (USENIX ATC 2015): each line the millisecond of one chance to send 1504 bytes.

The files come in pairs, NAME.up and NAME.down. Chances are counted in bins; a trace ends with its
last chance, where Mahimahi starts it over.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offload.errors import TraceError
from offload.trace_formats.raw import MAX_ROWS, RawTrace, data_lines, parse
from offload.types import FloatArray

OPPORTUNITY_BYTES = 1504
BIN_MS = 500
UP, DOWN = ".up", ".down"
_MAX_MS = float(MAX_ROWS * BIN_MS)


def read(path: Path) -> RawTrace:
    """Read NAME.up and NAME.down, given either; a file of another name is a downlink alone.

    Raises:
        TraceError: a line is not as it should be.
    """
    if path.suffix not in (UP, DOWN):
        milliseconds = _milliseconds(path)
        t_s, end_s = _bins(int(milliseconds[-1]))
        return RawTrace(t_s, end_s, downlink_bps=_rates(milliseconds, t_s, end_s))
    found = {
        suffix: _milliseconds(path.with_suffix(suffix))
        for suffix in (UP, DOWN)
        if path.with_suffix(suffix).is_file() or suffix == path.suffix
    }
    lengths = {suffix: int(milliseconds[-1]) for suffix, milliseconds in found.items()}
    shortest = min(lengths.values())
    remarks = tuple(
        f"{path.with_suffix(suffix).name} is cut from {length / 1e3:g} s to "
        f"{shortest / 1e3:g} s, the length of the other direction"
        for suffix, length in lengths.items()
        if length > shortest
    )
    t_s, end_s = _bins(shortest)
    rates = {suffix: _rates(values, t_s, end_s) for suffix, values in found.items()}
    return RawTrace(
        t_s, end_s, uplink_bps=rates.get(UP), downlink_bps=rates.get(DOWN), remarks=remarks
    )


def _milliseconds(path: Path) -> NDArray[np.int64]:
    """The file's times, shape (chances,)."""
    values: list[int] = []
    for number, line in data_lines(path):
        where = f"{path}:{number}"
        value = parse(line, "millisecond", where, _MAX_MS)
        if value != int(value):
            raise TraceError(f"{where}: millisecond is {value!r}; it must be a whole number")
        if values and value < values[-1]:
            raise TraceError(f"{where}: {int(value)} ms follows {values[-1]} ms; it may not fall")
        values.append(int(value))
    if not values:
        raise TraceError(f"{path}: empty; each line must be a millisecond")
    if values[-1] == 0:
        raise TraceError(f"{path}: every line is 0 ms, so the trace has no length")
    return np.array(values)


def _bins(length_ms: int) -> tuple[FloatArray, float]:
    """Starts of the bins and the end; a last bin of less than half goes to the one before."""
    starts = np.arange(0, length_ms, BIN_MS)
    if len(starts) > 1 and length_ms - starts[-1] < BIN_MS / 2:
        starts = starts[:-1]
    return starts / 1e3, length_ms / 1e3


def _rates(milliseconds: NDArray[np.int64], t_s: FloatArray, end_s: float) -> FloatArray:
    """Mean rate of each bin; a chance at its end counts to it, so that the last one counts."""
    edges = np.append(t_s, end_s) * 1e3
    upto = np.searchsorted(milliseconds, edges, side="right").astype(float)
    upto[0] = 0.0
    return np.diff(upto) * OPPORTUNITY_BYTES * 8.0 / (np.diff(edges) / 1e3)
