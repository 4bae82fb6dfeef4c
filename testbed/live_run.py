"""One live run: a testbed put up, tasks run on both sides, and what a reader must know kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from tqdm import tqdm

from netem.baseline import Baseline
from netem.trace_rows import departures
from offload.energy_model import get_radio
from offload.errors import ConfigError
from offload.link_trace import LinkTrace
from offload.tasks import unavailable
from offload.tasks.profile_table import ProfileRow, ProfileTable
from offload.types import LinkProfile, PairedRun
from testbed.calibration import calibrate
from testbed.paired import draw_instances, run_pairs
from testbed.testbed import Testbed, TestbedConfig


@dataclass(frozen=True, slots=True)
class LiveRun:
    """What a live run measured, and under which circumstances.

    Attributes:
        pairs: each task instance on both sides.
        backend: the network backend in use.
        notes: sentences on what was left out, given up or wrong, and the baseline before the run.
        replay_notes: how a trace was replayed; empty without one.
        details: settings and circumstances, for JSON.
        closing: the baseline after the run; where it has faults the run is void.
        max_rate_bps: the most that the backend carries.
    """

    pairs: list[PairedRun]
    backend: str
    notes: tuple[str, ...]
    replay_notes: tuple[str, ...]
    details: dict[str, Any]
    closing: Baseline
    max_rate_bps: float


def run_live(
    profile: LinkProfile,
    settings: TestbedConfig,
    trace: LinkTrace | None,
    table: ProfileTable,
    *,
    tasks: int,
    max_local_s: float,
    deadline_slack: tuple[float, float],
    rng: Generator,
    say: Callable[[str], None],
    then: Callable[[Testbed], object] | None = None,
    seen: Callable[[PairedRun], object] | None = None,
) -> LiveRun:
    """Run ``tasks`` task instances on a device and on an edge server across an emulated link.

    Args:
        profile: the link's, or that of the trace's first row.
        trace: replayed round and round; None: the link keeps to its profile.
        table: which tasks there are, and what the device expects of them.
        max_local_s: tasks that take the device longer are left out.
        deadline_slack: bounds of the deadline, in units of the predicted local seconds.
        say: takes a line on what is being used, as it becomes known.
        then: what else to measure, after the tasks and before the closing baseline.
        seen: called with each pair as it is done, in place of a progress bar.

    Raises:
        ConfigError: no task is left.
        BackendError: no link can be opened here.
        TestbedError: the server, the device or a local run failed.
        VoidRun: the machine is too busy to begin.
    """
    missing = unavailable()
    rows = [row for row in table.rows if row.kind not in missing and row.local_s <= max_local_s]
    if not rows:
        raise ConfigError(f"no task runs within --max-local {max_local_s} s here")
    instances = draw_instances(rng, rows, tasks)
    with Testbed(profile, settings, trace) as testbed:
        link = testbed.link
        for line in (link.reason, *link.limits):
            say(f"link: {line}")
        say(f"device CPU: {testbed.limit[0]}, {testbed.limit[1]}")
        calibration = calibrate(testbed.warm_up(_kinds(rows)), table)
        say(
            f"calibration against the profile table: device x{calibration.local:.2f}, "
            f"edge x{calibration.edge:.2f}"
        )
        with tqdm(total=tasks, unit=" tasks", disable=None if seen is None else True) as bar:
            pairs = run_pairs(
                testbed,
                instances,
                rng=rng,
                calibration=calibration,
                deadline_slack=deadline_slack,
                radio=get_radio(profile.radio),
                seen=seen or (lambda pair: bar.update()),
            )
        probe_bytes = testbed.measure().probe_bytes
        replay = None if testbed.player is None else testbed.player.report()
        if then is not None:
            then(testbed)
        limits, max_rate_bps = link.limits, link.max_rate_bps
        before, after = testbed.baseline, testbed.closing_baseline()
    notes = [f"{kind} is left out: {reason}" for kind, reason in missing.items()]
    notes += [*limits, str(before), *_given_up(pairs), *_wrong(pairs)]
    details: dict[str, Any] = {
        "backend_reason": link.reason,
        "device_cpu_limit": {
            "method": testbed.limit[0],
            "reason": testbed.limit[1],
            "slowdown": settings.slowdown,
        },
        "congestion_control": settings.congestion_control,
        "radio": profile.radio,
        "calibration": {"device": calibration.local, "edge": calibration.edge},
        "wrong_answers": sum(not pair.correct for pair in pairs),
        "edge_given_up": sum(pair.edge is None for pair in pairs),
        "probe_bytes": probe_bytes,
        "baseline": {
            "before": None if before is None else before.as_dict(),
            "after": after.as_dict(),
        },
        "link_measured_median": {
            name: float(np.median([getattr(pair.link, name) for pair in pairs]))
            for name in ("rtt_s", "jitter_s", "loss", "uplink_bps", "downlink_bps", "age_s")
        },
    }
    replay_notes: tuple[str, ...] = ()
    if trace is not None:
        replay_notes = (*departures(trace, max_rate_bps), f"replay: {replay}")
        details["trace"] = {"name": trace.name, "rows": trace.rows, "length_s": trace.end_s}
    return LiveRun(pairs, link.backend, tuple(notes), replay_notes, details, after, max_rate_bps)


def _kinds(rows: Sequence[ProfileRow]) -> tuple[str, ...]:
    """Each kind once, in the order of the rows."""
    return tuple(dict.fromkeys(row.kind for row in rows))


def _given_up(pairs: Sequence[PairedRun]) -> list[str]:
    given_up = sum(pair.edge is None for pair in pairs)
    if not given_up:
        return []
    return [
        f"{given_up} of {len(pairs)} remote runs were not back within their budget; choosing "
        "the edge there counts as the budget and a local run"
    ]


def _wrong(pairs: Sequence[PairedRun]) -> list[str]:
    wrong = [f"{pair.task.kind}/{pair.task.size}" for pair in pairs if not pair.correct]
    return [f"{len(wrong)} answers were wrong: {', '.join(wrong)}"] if wrong else []
