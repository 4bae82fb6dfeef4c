"""How this machine's seconds compare with the profile table's, before a run and during it."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from offload.errors import ConfigError
from offload.tasks.profile_table import ProfileRow, ProfileTable
from testbed.messages import Timing

REMEMBERED = 8
"""Runs of a side that its factor follows from."""
_WARM_UP_COUNTS_AS = 3
_LEAST_SPREAD = 0.1
"""Of ln(seconds): however alike a task's inputs are, what else runs makes its seconds differ."""
_SHORTEST_S = 2e-3
"""Shorter runs say more of the call than of the machine."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How this machine's seconds compare with the profile table's, by side (1: the same)."""

    local: float
    edge: float


def calibrate(timings: Sequence[Timing], table: ProfileTable) -> Calibration:
    """Median ratio of the warm-up's seconds to the table's, each side its own."""
    smallest = {row.kind: row for row in reversed(table.rows) if row.size == "small"}
    known = [(timing, smallest[timing.kind]) for timing in timings if timing.kind in smallest]
    if not known:
        raise ConfigError("the profile table holds none of the kinds that run here")
    return Calibration(
        statistics.median(timing.local_s / row.local_s for timing, row in known),
        statistics.median(timing.edge_s / row.edge_s for timing, row in known),
    )


class RunningCalibration:
    """A calibration that follows the runs: what else keeps the machine busy changes meanwhile.

    Each side's factor is the weighted median over its last runs of measured over table seconds; a
    task whose seconds hang on its input says less and weighs less. A device knows both: its own
    seconds, and those of the worker, which the server's answer holds.

    Args:
        start: of the warm-up; it counts as a few runs.
    """

    def __init__(self, start: Calibration) -> None:
        self._local = _Side(start.local)
        self._edge = _Side(start.edge)

    @property
    def now(self) -> Calibration:
        """The factors to expect the next run by."""
        return Calibration(self._local.factor, self._edge.factor)

    def saw(self, row: ProfileRow, local_s: float, edge_s: float | None) -> None:
        """Take in one task's seconds on either side; None: it did not come back."""
        spread = (row.local_spread + row.edge_spread) / 2
        self._local.saw(local_s, row.local_s, spread)
        if edge_s is not None:
            self._edge.saw(edge_s, row.edge_s, spread)


class _Side:
    def __init__(self, start: float) -> None:
        first = (math.log(start), 1.0 / _LEAST_SPREAD**2)
        self._seen = deque([first] * _WARM_UP_COUNTS_AS, maxlen=REMEMBERED)

    @property
    def factor(self) -> float:
        return math.exp(weighted_median(self._seen))

    def saw(self, measured_s: float, table_s: float, spread: float) -> None:
        if min(measured_s, table_s) >= _SHORTEST_S:
            weight = 1.0 / (spread**2 + _LEAST_SPREAD**2)
            self._seen.append((math.log(measured_s / table_s), weight))


def weighted_median(values: Iterable[tuple[float, float]]) -> float:
    """The least value that, with those below it, has half of the weight; of (value, weight)."""
    ordered = sorted(values)
    half = sum(weight for _, weight in ordered) / 2
    reached = 0.0
    for value, weight in ordered:
        reached += weight
        if reached >= half:
            return value
    raise ConfigError("no value to take a median of")
