"""Drives: each policy in turn, in random order, over a link and a testbed of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from agents.paired import BATTERY
from envs.config import EnvConfig
from envs.streams import Purpose, stream
from evidence.driving.messages import Arrival, Drive, DriveOver, Prepare
from evidence.driving.schedule import arrival_times, make_arrivals
from evidence.driving.testbed import DrivenTestbed
from netem.baseline import PAUSE_S, Baseline, void_reason
from netem.link import choose_backend
from netem.player import Replayed
from offload.errors import ConfigError, VoidRun
from offload.link_trace import LinkTrace
from offload.tasks import unavailable
from offload.tasks.profile_table import ProfileRow, ProfileTable
from offload.types import LinkProfile, Objective, TaskInstance
from testbed import TestbedConfig
from testbed.paired import Calibration, calibrate, draw_instances

MOST_LOAD = 0.5
"""Share of the device's CPU that the tasks would need at most if all ran on it."""


@dataclass(frozen=True)
class DriveSettings:
    """What is driven, and over what.

    Attributes:
        policies: the names of those that drive.
        asked: what was asked for, as :func:`agents.policies.collect` takes it.
        runs: folders that were named for learned policies.
        runs_root: where to look for the newest run otherwise.
        profile: the link's, or that of the trace's first row.
        trace: replayed round and round; None: the link keeps to its profile.
        tasks: how many arrive.
        max_local_s: tasks that take the device longer are left out.
        at_least_s: over which the arrivals are spread on average, whatever the load.
    """

    policies: tuple[str, ...]
    asked: tuple[str, ...]
    objective: Objective
    runs: tuple[Path, ...]
    runs_root: Path
    seed: int
    profile: LinkProfile
    trace: LinkTrace | None
    backend: str
    congestion_control: str
    tasks: int
    max_local_s: float
    at_least_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PolicyDrive:
    """One policy's drive.

    Attributes:
        source: where a learned policy came from.
        over: how it went; None: void.
        void: why it does not count; empty where it does.
        baselines: of the link before and after.
        replay: how a trace was replayed.
        calibration: this machine's seconds over the table's, as found before this drive.
    """

    policy: str
    source: str
    over: DriveOver | None
    void: str = ""
    baselines: tuple[Baseline, ...] = ()
    replay: Replayed | None = None
    calibration: Calibration | None = None


@dataclass(slots=True)
class Drives:
    """All drives of one run.

    Attributes:
        backend: that carried the packets.
        takes_seed: every policy's packets met fates drawn from the same seed.
        load: share of the device's CPU that the tasks would need if all ran on it.
        arrivals: what arrived, the same for every policy; empty before the first has driven.
        drives: in the order they took place.
        facts: sentences on the link and the device.
    """

    backend: str
    takes_seed: bool
    load: float
    arrivals: tuple[Arrival, ...] = ()
    drives: list[PolicyDrive] = field(default_factory=list)
    facts: tuple[str, ...] = ()


def drive_all(settings: DriveSettings, table: ProfileTable, say: Callable[[str], None]) -> Drives:
    """Have every policy drive through the same tasks on the same link.

    A drive that the machine was too busy for is repeated once, then marked as void.

    Args:
        table: which tasks there are, and what the device expects of them.
        say: takes a line on what is being done.

    Raises:
        ConfigError: no task is left.
        BackendError: no link can be opened here.
        TestbedError: a part of the testbed failed.
    """
    rng = stream(Purpose.TEST, settings.seed)
    instances = _instances(settings, table, rng)
    work_s = sum(row.local_s for _, row in instances)
    gap_s = max(work_s / MOST_LOAD, settings.at_least_s) / len(instances)
    due_s = arrival_times(rng, len(instances), gap_s)
    config = EnvConfig().workload
    slack = rng.uniform(config.deadline_slack_low, config.deadline_slack_high, len(instances))
    chosen, _ = choose_backend(settings.backend, need_packets=True)
    drives = Drives(chosen.name, chosen.name == "tun", work_s / (gap_s * len(instances)))
    order = [settings.policies[i] for i in rng.permutation(len(settings.policies))]
    for place, policy in enumerate(order, 1):
        say(f"drive {place} of {len(order)}: {policy}")

        def once(policy: str = policy) -> PolicyDrive:
            return _drive(policy, settings, table, instances, due_s, slack, drives, say)

        drives.drives.append(_twice_if_void(policy, once, say))
    return drives


def _instances(
    settings: DriveSettings, table: ProfileTable, rng: np.random.Generator
) -> list[tuple[TaskInstance, ProfileRow]]:
    missing = unavailable()
    rows = [r for r in table.rows if r.kind not in missing and r.local_s <= settings.max_local_s]
    if not rows:
        raise ConfigError(f"no task runs within --max-local {settings.max_local_s} s here")
    return draw_instances(rng, rows, settings.tasks)


def _twice_if_void(
    policy: str, once: Callable[[], PolicyDrive], say: Callable[[str], None]
) -> PolicyDrive:
    try:
        return once()
    except VoidRun as error:
        say(f"{error}. Once more in {PAUSE_S:g} s")
    time.sleep(PAUSE_S)
    try:
        return once()
    except VoidRun as error:
        say(f"{error}. {policy} is left out")
        return PolicyDrive(policy, "", None, str(error))


def _drive(
    policy: str,
    settings: DriveSettings,
    table: ProfileTable,
    instances: Sequence[tuple[TaskInstance, ProfileRow]],
    due_s: np.ndarray,
    slack: np.ndarray,
    drives: Drives,
    say: Callable[[str], None],
) -> PolicyDrive:
    """One policy's drive; the first one that counts fixes what arrives.

    Raises:
        VoidRun: the machine was too busy before or after.
    """
    config = TestbedConfig(
        backend=drives.backend,
        slowdown=table.slowdown,
        congestion_control=settings.congestion_control,
        seed=settings.seed if drives.takes_seed else None,
    )
    with DrivenTestbed(settings.profile, config, settings.trace) as testbed:
        tasks = tuple(task for task, _ in instances)
        prepared = testbed.prepare(
            Prepare(
                tasks,
                policy,
                settings.asked,
                settings.objective,
                tuple(map(str, settings.runs)),
                str(settings.runs_root),
                settings.seed,
            )
        )
        calibration = calibrate(testbed.warm_up(_kinds(instances)), table)
        start_s = testbed.started_s()
        arrivals = drives.arrivals or make_arrivals(
            instances, due_s, slack, prepared.input_bytes, calibration
        )
        link = testbed.link
        facts = (
            *(f"link: {line}" for line in (link.reason, *link.limits)),
            f"device CPU: {testbed.limit[0]}, {testbed.limit[1]}",
        )
        for line in () if drives.facts else facts:
            say(line)
        lasts_s = arrivals[-1].due_s
        with tqdm(total=round(lasts_s), unit=" s", disable=None, leave=False) as bar:

            def tick() -> None:
                bar.update(min(round(time.monotonic() - start_s), bar.total) - bar.n)

            over = testbed.drive(Drive(start_s, arrivals, settings.profile.radio, BATTERY), tick)
        replay = None if testbed.player is None else testbed.player.report()
        before, after = testbed.baseline, testbed.closing_baseline()
    if after.faults:
        raise VoidRun(void_reason(after))
    drives.arrivals, drives.facts = arrivals, facts
    baselines = (after,) if before is None else (before, after)
    return PolicyDrive(policy, prepared.source, over, "", baselines, replay, calibration)


def _kinds(instances: Sequence[tuple[TaskInstance, ProfileRow]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(task.kind for task, _ in instances))
