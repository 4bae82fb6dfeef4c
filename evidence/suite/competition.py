"""What offloading does to a competing flow, and what the flow does to offloading.

The flow is one TCP upload from the device to the edge, as fast as it goes. The offloading is one
task after another, without a pause. Each round has three phases: offloading alone, the flow alone,
and both.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from netem.streams import Arrivals, busy_stream
from offload.types import TaskInstance
from testbed import Testbed

TASK = TaskInstance("face", "small", 7)
"""43 kB up, next to nothing down, and short to compute: most of its time is the link's."""
BUDGET_S = 20.0
SETTLE_S = 1.5
"""For slow start, and for the queue that a flow leaves behind."""


@dataclass(slots=True)
class Competition:
    """What was measured; a value a round, or a value a remote run.

    Attributes:
        flow_alone_bps, flow_shared_bps: payload that arrived a second.
        offload_alone_s, offload_shared_s: seconds of each remote run; one that was not back
            within :data:`BUDGET_S` counts as that.
        given_up: how many were not.
    """

    flow_alone_bps: list[float] = field(default_factory=list)
    flow_shared_bps: list[float] = field(default_factory=list)
    offload_alone_s: list[float] = field(default_factory=list)
    offload_shared_s: list[float] = field(default_factory=list)
    given_up: int = 0


def compete(testbed: Testbed, rounds: int, phase_s: float) -> Competition:
    """Measure on a testbed that is warm and whose link is as it is to be.

    Raises:
        TestbedError: a part of the testbed failed.
        OSError: no connection came about.
    """
    found = Competition()
    for _ in range(rounds):
        found.offload_alone_s += _offload(testbed, phase_s, found)
        with busy_stream(testbed.link, "up") as arrivals:
            time.sleep(SETTLE_S)
            began_ns = time.time_ns()
            time.sleep(phase_s)
            joined_ns = time.time_ns()
            found.offload_shared_s += _offload(testbed, phase_s, found)
            ended_ns = time.time_ns()
            found.flow_alone_bps.append(_rate_bps(arrivals, began_ns, joined_ns))
            found.flow_shared_bps.append(_rate_bps(arrivals, joined_ns, ended_ns))
        time.sleep(SETTLE_S)
    return found


def _offload(testbed: Testbed, phase_s: float, found: Competition) -> list[float]:
    """Seconds of each of the remote runs that begin within the phase."""
    until_s = time.monotonic() + phase_s
    seconds = []
    while time.monotonic() < until_s:
        done = testbed.execute(TASK, on_edge=True, budget_s=BUDGET_S)
        seconds.append(BUDGET_S if done.cost is None else float(done.cost.seconds))
        found.given_up += done.cost is None
    return seconds


def _rate_bps(arrivals: Arrivals, begin_ns: int, end_ns: int) -> float:
    return 8e9 * (arrivals.by(end_ns) - arrivals.by(begin_ns)) / (end_ns - begin_ns)
