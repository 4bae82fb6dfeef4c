"""Which tasks arrive when: the same for every policy, whatever becomes of the tasks before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from envs.scenario import all_local_backlog
from evidence.driving.messages import Arrival
from offload.tasks.profile_table import ProfileRow
from offload.types import FloatArray, TaskInstance, TaskProfile
from testbed.paired import Calibration

LEAD_S = 6.0
"""From the drive's start to the first arrival: the device connects, and probes its link."""


def arrival_times(rng: Generator, tasks: int, gap_s: float) -> FloatArray:
    """Poisson arrivals, the first after :data:`LEAD_S`.

    Args:
        gap_s: mean time between two.

    Returns:
        Seconds since the drive's start, shape (tasks,).
    """
    gaps_s = rng.exponential(gap_s, tasks)
    gaps_s[0] = LEAD_S
    return np.cumsum(gaps_s)


def make_arrivals(
    instances: Sequence[tuple[TaskInstance, ProfileRow]],
    due_s: FloatArray,
    slack: FloatArray,
    input_bytes: Sequence[int],
    calibration: Calibration,
) -> tuple[Arrival, ...]:
    """The schedule.

    Args:
        instances: the tasks, each with its row of the profile table.
        due_s: when each arrives, shape (tasks,).
        slack: each deadline in units of the predicted local seconds, shape (tasks,).
        input_bytes: of each task's encoded input.
        calibration: this machine's seconds over the table's.
    """
    local_s = np.array([row.local_s for _, row in instances]) * calibration.local
    gaps_s = np.diff(due_s, prepend=due_s[0])
    backlog_s = all_local_backlog(gaps_s, local_s)
    return tuple(
        Arrival(
            task=task,
            due_s=float(due_s[index]),
            predicted=TaskProfile(
                local_s=float(local_s[index]),
                edge_s=row.edge_s * calibration.edge,
                input_bytes=float(input_bytes[index]),
                output_bytes=row.output_bytes,
                deadline_s=float(slack[index] * local_s[index]),
            ),
            reference_s=float(backlog_s[index] + local_s[index]),
        )
        for index, (task, row) in enumerate(instances)
    )
