"""What the models predict at a point of a sweep, from the same cost model that decides."""

from __future__ import annotations

import dataclasses
import math
from functools import cache

import numpy as np
from numpy.random import Generator

from evidence.sweeps.plan import plan_block
from evidence.sweeps.settings import Settings
from evidence.sweeps.swept import SWEPT
from offload.cost_model import edge_cost, local_cost
from offload.energy_model import CPU_BUSY_W, IDLE_W, get_radio
from offload.link_profiles import get_profile
from offload.tasks.profile_table import ProfileRow
from offload.types import (
    DecisionContext,
    DeviceState,
    EdgeState,
    FloatArray,
    LinkProfile,
    LinkState,
    PlacementCost,
    RadioPower,
    TaskProfile,
    Transfer,
)
from testbed.calibration import Calibration

BUDGET_TIMES = 5.0
"""An edge run is given up after so many times what the device is expected to take at most."""
_UNLIMITED_BPS = 1e10
_ARRIVALS = 200_000
_SERVICE_S = 0.4
"""Of a task of the edge's other users, before it is measured; for how long a sweep will take."""


def link_state(profile: LinkProfile) -> LinkState:
    """The link as it is set, as a device would measure it."""
    up, down = profile.uplink, profile.downlink
    return LinkState(
        rtt_s=up.delay_s + down.delay_s,
        jitter_s=math.hypot(up.jitter_s, down.jitter_s),  # independent, so their variances add
        loss=(up.loss + down.loss) / 2.0,
        uplink_bps=up.rate_bps or _UNLIMITED_BPS,
        downlink_bps=down.rate_bps or _UNLIMITED_BPS,
    )


def costs(
    link: LinkState,
    task: TaskProfile,
    radio: RadioPower,
    *,
    queue_s: float = 0.0,
    control: str = "cubic",
    moved: Transfer | None = None,
) -> tuple[PlacementCost, PlacementCost]:
    """Both placements of a task that comes alone, the radio asleep: device, edge.

    Args:
        queue_s: queueing at the edge.
        moved: seconds of the transfers where they were measured.
    """
    context = DecisionContext(
        link=link,
        task=task,
        device=DeviceState(0.0, 1.0, radio, 0.0, CPU_BUSY_W, IDLE_W),
        edge=EdgeState(queue_s, 0.0),
        reference_s=1.0,
        reference_j=1.0,
        congestion_control=control,
        moved=moved,
    )
    return local_cost(context), edge_cost(context)


def predicted(
    settings: Settings,
    row: ProfileRow,
    value: float,
    calibration: Calibration,
    control: str,
    service_s: float | None,
) -> tuple[PlacementCost, PlacementCost]:
    """What device and edge are predicted to cost at a value of the swept quantity.

    Args:
        row: the task's, of the profile table.
        calibration: this machine's seconds over the table's.
        service_s: seconds of a task of the edge's other users, where they are swept.
    """
    swept = SWEPT[settings.sweep]
    base = get_profile(settings.profile)
    task = TaskProfile(
        local_s=row.local_s * calibration.local,
        edge_s=row.edge_s * calibration.edge,
        input_bytes=row.input_bytes,
        output_bytes=row.output_bytes,
        deadline_s=math.inf,
    )
    if swept.device_only:
        slower = value / settings.slowdown
        task = dataclasses.replace(task, local_s=task.local_s * slower)
    queue_s = 0.0
    if settings.sweep == "edge-load" and service_s is not None:
        queue_s = service_s * median_wait(value)
    link = link_state(swept.apply(base, value))
    return costs(link, task, get_radio(base.radio), queue_s=queue_s, control=control)


@cache
def waits(utilisation: float) -> FloatArray:
    """Waits of an M/D/1 queue that is busy for this share, in service times, shape (arrivals,).

    By Lindley's recursion from a fixed seed. What an arrival waits is also the work that is in the
    queue at any time, since Poisson arrivals see time averages.
    """
    if utilisation == 0.0:
        return np.zeros(1)
    gaps = np.random.default_rng(0).exponential(1.0 / utilisation, _ARRIVALS)
    walk = np.cumsum(1.0 - gaps)  # the wait is the walk above its lowest point so far
    return walk - np.minimum.accumulate(np.minimum(walk, 0.0))


@cache
def median_wait(utilisation: float) -> float:
    """Median wait of that queue, in service times: 0 up to a load of one half."""
    return float(np.median(waits(utilisation))) if utilisation > 0.5 else 0.0


def draw_waiting(rng: Generator, utilisation: float) -> int:
    """Tasks that one meets in such a queue; their work is that of the queue on average."""
    return math.floor(rng.choice(waits(utilisation)) + rng.random())


def budget_s(row: ProfileRow, calibration: Calibration, slower: float) -> float:
    """How long an edge run is waited for: long enough that one given up is known to be dearer.

    Args:
        slower: the largest slowdown of the sweep over the table's.
    """
    longest_s = row.local_s * calibration.local * math.exp(2.0 * row.local_spread)
    return BUDGET_TIMES * longest_s * slower


def expected_s(settings: Settings, rows: list[ProfileRow]) -> float:
    """About how long a sweep will take, from the table alone; putting the testbed up left out."""
    calibration = Calibration(1.0, 1.0)
    slower = slowest(settings)
    total_s = 0.0
    for control in settings.controls:
        for step in (s for visit in plan_block(settings, 0).visits for s in visit):
            row = rows[step.task]
            value = settings.points[step.point]
            local, edge = predicted(settings, row, value, calibration, control, _SERVICE_S)
            edge_s = min(float(edge.seconds), budget_s(row, calibration, slower))
            total_s += edge_s if step.on_edge else float(local.seconds)
    return total_s * settings.repeats


def slowest(settings: Settings) -> float:
    """The largest slowdown of the sweep over the profile table's."""
    if not SWEPT[settings.sweep].device_only:
        return 1.0
    return max(settings.points) / settings.slowdown
