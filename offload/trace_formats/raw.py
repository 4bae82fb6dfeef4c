"""What every trace reader hands on, and how they read text: bounded, with line numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offload.errors import TraceError
from offload.types import FloatArray

MAX_FILE_BYTES = 64 * 2**20
MAX_ROWS = 1_000_000
MAX_RATE_BPS = 1e12
MAX_DELAY_S = 60.0
MAX_TIME_S = 1e13
"""Leaves room for Unix time in milliseconds."""
_ONE_ROW_S = 1.0


@dataclass(frozen=True, slots=True)
class RawTrace:
    """What one file says. Columns have shape (rows,); None: the format or the file lacks it.

    Attributes:
        t_s: start of each row, rising.
        end_s: end of the last row.
        technologies: the radio technology's name in each row; empty: unknown.
        remarks: what the reader left out or took for granted.
    """

    t_s: FloatArray
    end_s: float
    uplink_bps: FloatArray | None = None
    downlink_bps: FloatArray | None = None
    uplink_delay_s: FloatArray | None = None
    downlink_delay_s: FloatArray | None = None
    uplink_loss: FloatArray | None = None
    downlink_loss: FloatArray | None = None
    technologies: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def read_text(path: Path) -> str:
    """The file's text, without a byte-order mark.

    Raises:
        TraceError: no such file, one too large, or one that is not UTF-8 text.
    """
    try:
        if path.is_dir():
            raise TraceError(f"{path}: a folder; name a trace file in it")
        if not path.is_file():
            raise TraceError(f"{path}: no such file; name a trace file")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise TraceError(
                f"{path}: {size} bytes; a trace file may have at most {MAX_FILE_BYTES}"
            )
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TraceError(f"{path}: not UTF-8 text (byte {error.start})") from error


def data_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of each line that is neither empty nor a comment (#).

    Raises:
        TraceError: as :func:`read_text`; or more than MAX_ROWS lines.
    """
    rows = 0
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        rows += 1
        if rows > MAX_ROWS + 1:  # one may be a header
            raise TraceError(f"{path}:{number}: more than {MAX_ROWS} rows")
        yield number, text


def parse(value: object, what: str, where: str, high: float = math.inf) -> float:
    """A number from 0 to ``high``.

    Args:
        value: text or a JSON value.
        what: the column's name, with its unit.
        where: file and line.

    Raises:
        TraceError: not a number, not finite, negative or above ``high``.
    """
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        number = float(value)
    except (ValueError, OverflowError):
        shown = f"{value!r}"
        shown = shown if len(shown) < 60 else f"{shown[:57]}..."
        raise TraceError(f"{where}: {what} is {shown}; it must be a number") from None
    if not math.isfinite(number) or number < 0.0 or number > high:
        bound = f"from 0 to {high:g}" if math.isfinite(high) else "finite, and 0 or more"
        raise TraceError(f"{where}: {what} is {number!r}; it must be {bound}")
    return number


def check_rising(earlier: list[float], now: float, where: str) -> None:
    """Refuse a time that does not rise.

    Raises:
        TraceError: it is not above the one before.
    """
    if earlier and now <= earlier[-1]:
        raise TraceError(f"{where}: time {now:g} s follows {earlier[-1]:g} s; times must rise")


def starts_and_end(times: list[float], path: Path) -> tuple[FloatArray, float]:
    """Starts of the rows counted from the first, and the last row's end.

    The last row holds as long as the median row; a single one for a second.

    Raises:
        TraceError: no rows.
    """
    if not times:
        raise TraceError(f"{path}: holds no rows")
    t_s = np.array(times) - times[0]
    hold_s = float(np.median(np.diff(t_s))) if len(t_s) > 1 else _ONE_ROW_S
    return t_s, float(t_s[-1]) + hold_s


def one_way_loss(ping_loss: FloatArray) -> FloatArray:
    """Loss of one direction, both taken to be alike, from the share of pings unanswered."""
    one_way: FloatArray = 1.0 - np.sqrt(1.0 - ping_loss)
    return one_way
