"""Measures a sweep on a testbed that stays up, repetition by repetition."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from agents.run_directory import origin
from evidence.sweeps.model import budget_s, draw_waiting, slowest
from evidence.sweeps.plan import Step, plan_block
from evidence.sweeps.record import BlockEnd, Loaded, Record, Run, Session
from evidence.sweeps.settings import LOAD_TASK, Settings
from evidence.sweeps.swept import SWEPT
from netem import baseline
from offload.errors import ConfigError, VoidRun
from offload.link_profiles import get_profile
from offload.tasks.profile_table import ProfileRow, ProfileTable
from offload.types import TaskInstance
from testbed import Testbed, TestbedConfig
from testbed.calibration import Calibration, calibrate
from testbed.other_users import OtherUsers
from testbed.paired import LOCAL_BUDGET_S
from testbed.processes import TestbedError

MOST_VOID = 3
"""A repetition that was void so often ends the sweep."""
SETTLE_S = 1.0
"""Time for the first tasks of the edge's other users to get there."""


def measure_sweep(
    settings: Settings,
    table: ProfileTable,
    record: Record,
    *,
    progress: Callable[[int], object],
    say: Callable[[str], None],
) -> None:
    """Measure what the record does not hold yet.

    Args:
        progress: called with 1 after each run, and with less than 0 where runs became void.
        say: takes a line on what is being used, or waited for.

    Raises:
        ConfigError: the record was begun with another backend.
        BackendError, TestbedError: no link, or a part of the testbed failed.
        VoidRun: the machine is too busy.
    """
    for control in settings.controls:
        if all(record.is_through(control, block) for block in range(settings.repeats)):
            continue
        config = TestbedConfig(
            backend=settings.backend, slowdown=settings.slowdown, congestion_control=control
        )
        with Testbed(get_profile(settings.profile), config) as testbed:
            _Sweep(settings, table, record, testbed, control, progress, say).measure()


class _Sweep:
    """One testbed's part: all repetitions under one congestion control."""

    def __init__(
        self,
        settings: Settings,
        table: ProfileTable,
        record: Record,
        testbed: Testbed,
        control: str,
        progress: Callable[[int], object],
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._swept = SWEPT[settings.sweep]
        self._base = get_profile(settings.profile)
        self._rows = rows_of(settings, table)
        self._record = record
        self._testbed = testbed
        self._control = control
        self._progress = progress
        self._say = say
        self._users: OtherUsers | None = None
        self._calibration = self._begin(table)

    def _begin(self, table: ProfileTable) -> Calibration:
        testbed, link = self._testbed, self._testbed.link
        before = [line for line in self._record.lines if isinstance(line, Session)]
        if before and before[0].backend != link.backend:
            raise ConfigError(
                f"this sweep was begun with backend {before[0].backend}, and {link.backend} is in"
                f" use now; resume it with --backend {before[0].backend}"
            )
        for line in (link.reason, *link.limits):
            self._say(f"link: {line}")
        kinds = tuple(dict.fromkeys(row.kind for row in self._rows))
        calibration = calibrate(testbed.warm_up(kinds), table)
        if self._settings.sweep == "edge-load":
            self._users = testbed.other_users(TaskInstance(*LOAD_TASK, self._settings.seed))
        self._say(
            f"{self._control}: device CPU {testbed.limit[0]}, {testbed.limit[1]}; calibration"
            f" against the profile table: device x{calibration.local:.2f}, edge"
            f" x{calibration.edge:.2f}"
        )
        self._record.add(
            Session(
                control=self._control,
                backend=link.backend,
                reason=link.reason,
                limits=link.limits,
                calibration=(calibration.local, calibration.edge),
                limit=testbed.limit,
                baseline={} if testbed.baseline is None else testbed.baseline.as_dict(),
                origin=origin(),
                service_s=None if self._users is None else self._users.service_s,
            )
        )
        return calibration

    def measure(self) -> None:
        for number in range(self._settings.repeats):
            voids = 0
            while not self._record.is_through(self._control, number):
                if self._measure_block(number):
                    break
                voids += 1
                if voids == MOST_VOID:
                    raise VoidRun(
                        f"repetition {number + 1} was void {voids} times in a row: something else"
                        " keeps this machine busy"
                    )
                time.sleep(baseline.PAUSE_S)

    def _measure_block(self, number: int) -> bool:
        """Measure what is missing of a repetition's present attempt; False: it is void."""
        block = plan_block(self._settings, number)
        attempt = self._record.attempt(self._control, number)
        done = self._record.done(self._control, number)
        for visit in block.visits:
            steps = [step for step in visit if step not in done]
            if not steps:
                continue
            self._go_to(number, attempt, steps[0].point)
            for step in steps:
                self._record.add(self._run(number, attempt, step, block.seeds[step.task]))
                self._progress(1)
            self._leave(number, attempt, steps[0].point)
        after = self._testbed.closing_baseline()
        self._record.add(BlockEnd(self._control, number, attempt, after.as_dict(), after.faults))
        if after.faults:
            self._say(
                f"repetition {number + 1} is void and is run again: {'; '.join(after.faults)}"
            )
            self._progress(-block.steps)
        return not after.faults

    def _go_to(self, number: int, attempt: int, point: int) -> None:
        """Set the point; for an edge's load, with as long a queue as one would meet."""
        value = self._settings.points[point]
        if self._swept.device_only:
            self._testbed.slow_down(value)
        elif self._users is not None:
            rng = np.random.default_rng([self._settings.seed, number, attempt, point])
            self._users.offer(value, draw_waiting(rng, value))
            time.sleep(SETTLE_S)
        else:
            self._testbed.apply(self._swept.apply(self._base, value))

    def _leave(self, number: int, attempt: int, point: int) -> None:
        if self._users is None:
            return
        offered = self._users.stop()
        asked = self._settings.points[point]
        self._record.add(Loaded(self._control, number, attempt, point, asked, offered))

    def _run(self, number: int, attempt: int, step: Step, seed: int) -> Run:
        row = self._rows[step.task]
        allowed_s = LOCAL_BUDGET_S
        if step.on_edge:
            allowed_s = budget_s(row, self._calibration, slowest(self._settings))
        done = self._testbed.execute(
            TaskInstance(row.kind, row.size, seed), on_edge=step.on_edge, budget_s=allowed_s
        )
        if not step.on_edge and done.cost is None:
            raise TestbedError(f"{row.kind}/{row.size} failed on the device: {done.detail}")
        return Run(
            control=self._control,
            block=number,
            attempt=attempt,
            point=step.point,
            value=self._settings.points[step.point],
            task=step.task,
            name=self._settings.tasks[step.task],
            seed=seed,
            on_edge=step.on_edge,
            budget_s=allowed_s,
            cost=done.cost,
            input_bytes=done.input_bytes,
            output_bytes=done.output_bytes,
            correct=done.correct,
            detail=done.detail,
        )


def rows_of(settings: Settings, table: ProfileTable) -> list[ProfileRow]:
    """The profile table's row of each task, in the settings' order."""
    rows = {f"{row.kind}/{row.size}": row for row in table.rows}
    return [rows[name] for name in settings.tasks]
