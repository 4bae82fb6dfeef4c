"""A link over time, as somebody measured it: the one object that is replayed live and simulated.

Formats (``load_trace(path, format)``; ``auto`` tells by the file's name and first line):

    csv                 header t_s, down_mbps, up_mbps, and where known rtt_ms, loss, tech
    mahimahi            NAME.up and NAME.down, a line a chance to send 1504 bytes
    bandwidth           two columns: s, Mbit/s (Pensieve)
    bandwidth-rtt-loss  four columns: s, Mbit/s, ms, share (Hairpin's quantities)
    alphartc            JSON with a trace_pattern for each direction

What a file lacks (a direction, delay, loss) comes from a base profile, and
:attr:`LinkTrace.assumed` says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from offload.errors import TraceError, UnknownNameError
from offload.link_profiles import get_profile
from offload.trace_formats import alphartc, columns, csv_table, mahimahi
from offload.trace_formats.raw import RawTrace, data_lines
from offload.types import FloatArray, LinkProfile

DEFAULT_BASE = "lte"
"""Profile that fills what a trace lacks: most public traces are of cellular links."""
READERS: dict[str, Callable[[Path], RawTrace]] = {
    "csv": csv_table.read,
    "mahimahi": mahimahi.read,
    "bandwidth": columns.read_bandwidth,
    "bandwidth-rtt-loss": columns.read_bandwidth_rtt_loss,
    "alphartc": alphartc.read,
}
_RADIO_OF = {
    "LTE": "lte",
    "LTE-A": "lte",
    "5G-low": "5g_low",
    "5G-mid": "5g_low",
    "5G-mmWave": "5g_mmwave",
    "3G": "3g",
    "HSPA": "3g",
    "WCDMA": "3g",
    "UMTS": "3g",
    "WiFi": "wifi",
}
_BESIDE_TRACES = (".md", ".rst")
"""Files that lie beside traces and are none."""


@dataclass(frozen=True, slots=True, eq=False)
class LinkTrace:
    """A link over time; each row holds until the next, the last until ``end_s``.

    Attributes:
        name: the file's, without what follows its last dot where that tells it from others.
        t_s: start of each row, shape (rows,), rising from 0.
        end_s: end of the last row, so the trace's length.
        uplink_bps, downlink_bps: rates, shape (rows,); 0 is an outage.
        uplink_delay_s, downlink_delay_s: one-way delays, shape (rows,).
        uplink_loss, downlink_loss: share of each direction's packets lost, shape (rows,).
        radio: name of the device's radio, of :data:`offload.energy_model.RADIOS`.
        base: profile that what the trace lacks was taken from, the queue's length always.
        assumed: what was taken from it, or left out, in words.
        source: the file.
    """

    name: str
    t_s: FloatArray
    end_s: float
    uplink_bps: FloatArray
    downlink_bps: FloatArray
    uplink_delay_s: FloatArray
    downlink_delay_s: FloatArray
    uplink_loss: FloatArray
    downlink_loss: FloatArray
    radio: str
    base: LinkProfile
    assumed: tuple[str, ...]
    source: str

    def __post_init__(self) -> None:
        rows = len(self.t_s)
        if rows == 0 or self.t_s[0] != 0.0 or np.any(np.diff(self.t_s) <= 0.0):
            raise TraceError(f"trace {self.name!r}: t_s must rise from 0")
        if not self.t_s[-1] < self.end_s < np.inf:
            raise TraceError(f"trace {self.name!r}: end_s is {self.end_s}, before its last row")
        for column, high in (
            ("uplink_bps", np.inf),
            ("downlink_bps", np.inf),
            ("uplink_delay_s", np.inf),
            ("downlink_delay_s", np.inf),
            ("uplink_loss", 1.0),
            ("downlink_loss", 1.0),
        ):
            values = getattr(self, column)
            if values.shape != (rows,):
                raise TraceError(f"trace {self.name!r}: {column} has not one value a row")
            if not np.all(np.isfinite(values) & (values >= 0.0) & (values <= high)):
                raise TraceError(f"trace {self.name!r}: {column} holds a value out of range")

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.t_s)

    @property
    def rtt_s(self) -> FloatArray:
        """Round-trip time of each row, queues left out, shape (rows,)."""
        return self.uplink_delay_s + self.downlink_delay_s

    def row_at(self, t_s: float) -> int:
        """Index of the row that holds at that time; times past the end wrap round."""
        return int(np.searchsorted(self.t_s, t_s % self.end_s, side="right")) - 1


def load_trace(path: Path | str, format: str = "auto", base: str = DEFAULT_BASE) -> LinkTrace:
    """Load one trace.

    Args:
        path: the file; of a Mahimahi pair either file.
        format: a name of :data:`READERS`, or ``auto``.
        base: name of the profile that fills what the file lacks.

    Raises:
        TraceError: a file that is missing, too large or not as its format wants it; file and line
            are named.
        UnknownNameError: no such format or profile.
    """
    path = Path(path)
    profile = get_profile(base)
    if format == "auto":
        format = _format_of(path)
    elif format not in READERS:
        raise UnknownNameError("trace format", format, [*READERS, "auto"])
    return _completed(path, READERS[format](path), profile)


def load_traces(
    directory: Path | str, format: str = "auto", base: str = DEFAULT_BASE
) -> tuple[LinkTrace, ...]:
    """Load every trace of a folder, in the order of their names.

    Hidden files and texts (.md, .rst) are passed over; anything else must be a trace.

    Raises:
        TraceError: no folder, nothing in it, or as :func:`load_trace`.
    """
    return load_trace_files(trace_files(directory), format, base)


def load_trace_files(
    paths: Sequence[Path | str], format: str = "auto", base: str = DEFAULT_BASE
) -> tuple[LinkTrace, ...]:
    """Load several traces; those that would share a name get their files' whole names or paths.

    Raises:
        TraceError: as :func:`load_trace`.
    """
    traces = [load_trace(path, format, base) for path in paths]
    for longer in (lambda file: Path(file).name, str):
        counts = Counter(trace.name for trace in traces)
        traces = [
            trace if counts[trace.name] == 1 else replace(trace, name=longer(trace.source))
            for trace in traces
        ]
    return tuple(traces)


def trace_files(directory: Path | str) -> tuple[Path, ...]:
    """The trace files of a folder, sorted; of a Mahimahi pair the .down file alone.

    Raises:
        TraceError: no folder, or nothing in it.
    """
    directory = Path(directory)
    if directory.is_file():
        raise TraceError(f"{directory}: a file; name the folder of trace files that it lies in")
    if not directory.is_dir():
        raise TraceError(f"{directory}: no such folder; name a folder of trace files")
    found = tuple(
        path
        for path in sorted(directory.iterdir())
        if path.is_file()
        and not path.name.startswith(".")
        and path.suffix.lower() not in _BESIDE_TRACES
        and not (path.suffix == mahimahi.UP and path.with_suffix(mahimahi.DOWN).is_file())
    )
    if not found:
        raise TraceError(f"{directory}: holds no trace files; folders in it are not searched")
    return found


def _format_of(path: Path) -> str:
    """The format, by the file's name, else by its first line."""
    by_suffix = {".csv": "csv", ".json": "alphartc", ".up": "mahimahi", ".down": "mahimahi"}
    if path.suffix.lower() in by_suffix:
        return by_suffix[path.suffix.lower()]
    number, line = next(data_lines(path), (0, ""))
    if not line:
        raise TraceError(f"{path}: empty; it must hold a trace")
    if line.startswith("{"):
        return "alphartc"
    if "t_s" in line.split(","):
        return "csv"
    by_width = {1: "mahimahi", 2: "bandwidth", 4: "bandwidth-rtt-loss"}
    width = len(columns.split(line))
    if width not in by_width:
        raise TraceError(
            f"{path}:{number}: no trace format has {width} columns and no header; known: 1"
            " (mahimahi), 2 (bandwidth) or 4 (bandwidth-rtt-loss) columns, csv with a header,"
            " alphartc (JSON)"
        )
    return by_width[width]


def _completed(path: Path, raw: RawTrace, base: LinkProfile) -> LinkTrace:
    """The trace with what it lacks taken from ``base``."""
    assumed = list(raw.remarks)
    filled: dict[str, FloatArray] = {}
    for side, direction in (("uplink", base.uplink), ("downlink", base.downlink)):
        for column, value, words in (
            ("bps", direction.rate_bps, f"rate {(direction.rate_bps or 0.0) / 1e6:g} Mbit/s"),
            ("delay_s", direction.delay_s, f"delay {direction.delay_s * 1e3:g} ms"),
            ("loss", direction.loss, f"loss {direction.loss * 100:.2g} %"),
        ):
            name = f"{side}_{column}"
            given: FloatArray | None = getattr(raw, name)
            if given is None:
                if value is None:
                    raise TraceError(
                        f"{path}: has no {side} rate, and neither has base profile {base.name!r}"
                    )
                assumed.append(f"{side} {words} from profile {base.name!r}")
                given = np.full(len(raw.t_s), value)
            filled[name] = given
    radio = _radio(raw.technologies)
    if radio is None:
        assumed.append(f"radio {base.radio!r} from profile {base.name!r}")
    return LinkTrace(
        name=path.stem,
        t_s=raw.t_s,
        end_s=raw.end_s,
        **filled,
        radio=radio or base.radio,
        base=base,
        assumed=tuple(assumed),
        source=str(path),
    )


def _radio(technologies: tuple[str, ...]) -> str | None:
    """Radio of the technology named most often, its band left off; None: none is known."""
    names = [name.partition(" (")[0] for name in technologies]
    known = Counter(_RADIO_OF[name] for name in names if name in _RADIO_OF)
    return known.most_common(1)[0][0] if known else None
