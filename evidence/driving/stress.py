"""Links under stress: short traces made by formula, so that what happens and when is known.

``handover``: a cell's rates fall to a tenth and its RTT triples for two seconds, then another cell
serves, worse than the first; later the same way back. ``outage``: five seconds in which nothing
passes. ``ramp``: the uplink falls from 20 to 0.5 Mbit/s, evenly in its logarithm, and returns.
All are replayed round and round, and take the length of their queue from a named profile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from offload.errors import UnknownNameError
from offload.link_profiles import get_profile
from offload.link_trace import LinkTrace

HANDOVER_RATE = 0.1
HANDOVER_RTT = 3.0
HANDOVER_S = 2.0
CELL_S = 20.0
OUTAGE_S = 5.0
BEFORE_OUTAGE_S = 15.0
AFTER_OUTAGE_S = 20.0
RAMP_S = 30.0
RAMP_STEP_S = 1.0
RAMP_BPS = (20e6, 0.5e6)
RAMP_DOWNLINK = 2.0
"""The downlink's rate over the uplink's, on a ramp."""


class _Row(NamedTuple):
    """What holds for so many seconds."""

    lasts_s: float
    uplink_bps: float
    downlink_bps: float
    rtt_s: float
    loss: float


def stress_trace(name: str) -> LinkTrace:
    """One of :data:`STRESSES`.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in STRESSES:
        raise UnknownNameError("link under stress", name, STRESSES)
    return _trace(name, _ROWS[name]())


def _cell(profile: str, lasts_s: float) -> _Row:
    """A cell as its profile has it, but without jitter, which a trace has none of."""
    cell = get_profile(profile)
    up, down = cell.uplink, cell.downlink
    return _Row(
        lasts_s, up.rate_bps or 0.0, down.rate_bps or 0.0, up.delay_s + down.delay_s, up.loss
    )


def _handover() -> list[_Row]:
    rows = []
    for profile in ("lte", "lte_drive"):
        cell = _cell(profile, CELL_S)
        leaving = _at_rates(cell, HANDOVER_RATE)._replace(
            lasts_s=HANDOVER_S, rtt_s=HANDOVER_RTT * cell.rtt_s
        )
        rows += [cell, leaving]
    return rows


def _at_rates(row: _Row, factor: float) -> _Row:
    """The row with both rates times the factor."""
    return row._replace(uplink_bps=factor * row.uplink_bps, downlink_bps=factor * row.downlink_bps)


def _outage() -> list[_Row]:
    served = _cell("lte", BEFORE_OUTAGE_S)
    nothing = _at_rates(served, 0.0)._replace(lasts_s=OUTAGE_S, loss=1.0)
    return [served, nothing, served._replace(lasts_s=AFTER_OUTAGE_S)]


def _ramp() -> list[_Row]:
    steps = round(RAMP_S / RAMP_STEP_S)
    falling = np.geomspace(*RAMP_BPS, steps + 1)
    cell = _cell("lte", RAMP_STEP_S)
    rates = [*falling, *falling[-2:0:-1]]  # each end once: what follows is the same, replayed anew
    return [
        cell._replace(uplink_bps=float(rate), downlink_bps=RAMP_DOWNLINK * float(rate), loss=0.0)
        for rate in rates
    ]


_ROWS = {"handover": _handover, "outage": _outage, "ramp": _ramp}
STRESSES = tuple(_ROWS)
"""Their names."""


def _trace(name: str, rows: Sequence[_Row]) -> LinkTrace:
    ends_s = np.cumsum([row.lasts_s for row in rows])
    one_way_s = np.array([row.rtt_s for row in rows]) / 2
    loss = np.array([row.loss for row in rows])
    base = get_profile("lte")
    return LinkTrace(
        name=name,
        t_s=np.concatenate([[0.0], ends_s[:-1]]),
        end_s=float(ends_s[-1]),
        uplink_bps=np.array([row.uplink_bps for row in rows]),
        downlink_bps=np.array([row.downlink_bps for row in rows]),
        uplink_delay_s=one_way_s,
        downlink_delay_s=one_way_s.copy(),
        uplink_loss=loss,
        downlink_loss=loss.copy(),
        radio=base.radio,
        base=base,
        assumed=("made by formula, not measured (evidence/driving/stress.py)",),
        source=f"made: {name}",
    )
