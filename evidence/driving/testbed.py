"""A testbed whose device is driven by a policy."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from evidence.driving.messages import Drive, DriveAnswer, DriveOver, Prepare, Prepared
from testbed.messages import Broken
from testbed.processes import TestbedError, read_line, write_line
from testbed.testbed import Testbed

_NAME = "the driven device"
_PREPARE_S = 180.0
_AFTER_LAST_S = 300.0
"""How long tasks may go on after the last one arrived."""
_LOOK_EVERY_S = 0.5

_AnswerT = TypeVar("_AnswerT", Prepared, DriveOver)


class DrivenTestbed(Testbed):
    """A testbed whose device runs a decision engine.

    Its order: :meth:`prepare`, :meth:`warm_up`, which also starts the replay of a trace, then
    :meth:`drive` at once.
    """

    DEVICE_MODULE = "evidence.driving.device"

    def prepare(self, order: Prepare) -> Prepared:
        """Make inputs and policy ready, before any clock runs.

        Raises:
            TestbedError: the policy is not to be had, or the device is gone.
        """
        return self._converse(order, Prepared, _PREPARE_S, lambda: None)

    def drive(self, order: Drive, tick: Callable[[], object]) -> DriveOver:
        """Let the policy drive.

        Args:
            tick: called about twice a second meanwhile.

        Raises:
            TestbedError: a part of the testbed failed, or the drive did not end.
            OffloadError: the replay of the trace failed.
        """
        lasts_s = order.start_s + order.arrivals[-1].due_s - time.monotonic()
        return self._converse(order, DriveOver, lasts_s + _AFTER_LAST_S, tick)

    def started_s(self) -> float:
        """When the trace's replay began, on the machine's monotonic clock; without one: now."""
        now_s = time.monotonic()
        return now_s if self.player is None else now_s - self.player.elapsed_s

    def _converse(
        self,
        order: Prepare | Drive,
        expected: type[_AnswerT],
        patience_s: float,
        tick: Callable[[], object],
    ) -> _AnswerT:
        write_line(self._device, _NAME, msgspec.json.encode(order))
        until_s = time.monotonic() + patience_s
        stdout = self._device.stdout
        if stdout is None:
            raise TestbedError(f"{_NAME} has no output")
        while not select.select([stdout], [], [], _LOOK_EVERY_S)[0]:
            self._check_parts()
            tick()
            if time.monotonic() > until_s:
                raise TestbedError(f"{_NAME} said nothing for {patience_s:.0f} s")
        answer: DriveAnswer = msgspec.json.decode(read_line(self._device, _NAME), type=DriveAnswer)
        if isinstance(answer, Broken):
            raise TestbedError(f"{_NAME} could not do it: {answer.error}")
        if not isinstance(answer, expected):
            raise TestbedError(f"{_NAME} answered with {type(answer).__name__}")
        return answer
