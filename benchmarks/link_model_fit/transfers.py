"""Measured transfers as arrays, and which of them the fit may see."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import Counter
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offload.errors import ConfigError
from offload.types import FloatArray

EMULATOR_RTT_S = 0.00026
"""What the emulator adds to a round trip: `lan` in docs/measured/netem-uml.json."""
VOID_STALL_S = 0.02
VOID_STALL_SHARE = 0.02
"""A message is void if the router kept silent for longer than both together."""
_CELL = ("link", "direction", "congestion_control", "n_bytes")
_NEEDED = {
    *_CELL,
    *("seconds", "outcome", "rate_bps", "delay_s", "jitter_s", "loss_enter", "loss_leave"),
    *("number", "stall_s"),
}


@dataclass(frozen=True, slots=True)
class Transfers:
    """Messages that arrived, one an element.

    Attributes:
        link: name of the link.
        cell: number of the combination of link, direction, congestion control and size.
        rtt_s, jitter_s: mean and standard deviation of the round trip, as a probe would see it.
        loss: share of packets lost in the message's direction.
        number: messages before it on its connection.
    """

    link: NDArray[np.str_]
    cell: NDArray[np.intp]
    control: NDArray[np.str_]
    n_bytes: FloatArray
    seconds: FloatArray
    rate_bps: FloatArray
    rtt_s: FloatArray
    jitter_s: FloatArray
    loss: FloatArray
    number: FloatArray

    def __len__(self) -> int:
        return len(self.seconds)

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Transfers:
        """Those of a mask, or with these indices."""
        return Transfers(*(getattr(self, entry.name)[chosen] for entry in fields(self)))

    @property
    def to_validate(self) -> NDArray[np.bool_]:
        """The half that the fit never sees; whole links, by their names."""
        return np.array([for_validation(name) for name in self.link])

    def of_others(self) -> FloatArray:
        """Median seconds of the other repetitions of each one's combination; NaN: there is none."""
        medians = np.full(len(self), np.nan)
        order = np.argsort(self.cell, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(self.cell[order])) + 1):
            for position, index in enumerate(group if len(group) > 1 else ()):
                medians[index] = np.median(self.seconds[np.delete(group, position)])
        return medians

    def typical(self, at_least: int = 1) -> Transfers:
        """One element a combination of so many repetitions, its seconds their median."""
        cells, first, counts = np.unique(self.cell, return_index=True, return_counts=True)
        kept = counts >= at_least
        medians = [np.median(self.seconds[self.cell == cell]) for cell in cells[kept]]
        return replace(self.where(first[kept]), seconds=np.array(medians))


def for_validation(link: str) -> bool:
    """The fixed rule of the split: the lowest bit of the CRC-32 of the link's name."""
    return bool(zlib.crc32(link.encode()) & 1)


def load_transfers(path: Path) -> tuple[Transfers, Counter[str]]:
    """What ``benchmarks/transfers.py`` wrote, plain or packed with gzip.

    Returns:
        The transfers to use, and how many rows were used or left out, by reason.

    Raises:
        ConfigError: no such file, or not of that form.
    """
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    lacking = sorted(_NEEDED - set(rows[0] if rows else ()))
    if lacking:
        raise ConfigError(f"{path} lacks the columns {', '.join(lacking)}")
    fates = [_fate(row) for row in rows]
    used = [row for row, fate in zip(rows, fates, strict=True) if fate == "used"]
    if not used:
        raise ConfigError(f"{path} holds no finished transfer over a link of limited rate")

    def column(name: str) -> FloatArray:
        return np.array([float(row[name]) for row in used])

    keys = ["|".join(row[name] for name in _CELL) for row in used]
    enter, leave = column("loss_enter"), column("loss_leave")
    return Transfers(
        link=np.array([row["link"] for row in used]),
        cell=np.unique(keys, return_inverse=True)[1],
        control=np.array([row["congestion_control"] for row in used]),
        n_bytes=column("n_bytes"),
        seconds=column("seconds"),
        rate_bps=column("rate_bps"),
        rtt_s=2.0 * column("delay_s") + EMULATOR_RTT_S,
        jitter_s=np.sqrt(2.0) * column("jitter_s"),
        loss=enter / (enter + leave),
        number=column("number"),
    ), Counter(fates)


def _fate(row: dict[str, str]) -> str:
    if row["outcome"] != "ok":
        return row["outcome"]
    if float(row["rate_bps"]) == 0.0:
        return "unlimited"  # measures what this machine's emulator can carry
    seconds = float(row["seconds"])
    if float(row["stall_s"]) > VOID_STALL_S + VOID_STALL_SHARE * seconds:
        return "void"
    return "used"
