"""The device that a policy drives: a decision engine in the device's namespace, tasks arriving.

It carries out the orders of :mod:`testbed.device` too.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path

import msgspec
import tyro

from agents.policies import collect
from evidence.driving.driver import Driver, Sides
from evidence.driving.executors import EdgePool, QuietProbes
from evidence.driving.messages import Drive, DriveOrder, DriveOver, Prepare, Prepared
from netem.estimator import LinkTracker
from offload.errors import ConfigError, OffloadError
from offload.interfaces import Policy
from offload.local_queue import LocalQueue
from offload.tasks import get_task
from offload.types import TaskInstance
from testbed.device import Device, DeviceOptions, main, make_client, make_prober
from testbed.messages import Broken

CONNECTIONS = 4
"""To the edge server; with all in use a task waits for one."""


class DrivenDevice(Device):
    """Also carries out :class:`Prepare` and :class:`Drive`."""

    ORDERS = DriveOrder

    _payloads: dict[TaskInstance, bytes]
    _policy: Policy | None = None

    def answer(self, order: DriveOrder) -> msgspec.Struct:
        """Carry out one order; errors of the project become :class:`Broken`."""
        if not isinstance(order, Prepare | Drive):
            return super().answer(order)
        try:
            return self.prepare(order) if isinstance(order, Prepare) else self.drive(order)
        except OffloadError as error:
            return Broken(f"{type(error).__name__}: {error}")

    def prepare(self, order: Prepare) -> Prepared:
        """Make the inputs and the policy.

        Raises:
            ConfigError: the policy is not to be had.
        """
        self._payloads = {
            task: get_task(task.kind).make_input(task.size, task.seed) for task in order.tasks
        }
        found = collect(
            order.asked,
            order.objective,
            given=[Path(run) for run in order.runs],
            runs=Path(order.runs_root),
            seed=order.seed,
        )
        self._policy = next((p for p in found.policies if p.name == order.policy), None)
        if self._policy is None:
            raise ConfigError("; ".join(found.notes) or f"there is no policy {order.policy!r}")
        sizes = tuple(len(self._payloads[task]) for task in order.tasks)
        return Prepared(sizes, found.sources.get(order.policy, ""))

    def drive(self, order: Drive) -> DriveOver:
        """Run every task as it arrives."""
        if self._policy is None:
            raise ConfigError("no policy is ready; a Prepare comes before a Drive")
        tracker = LinkTracker(self._options.congestion_control)
        with ExitStack() as stack:
            prober = stack.enter_context(closing(make_prober(self._options, tracker)))
            clients = [
                stack.enter_context(make_client(self._options, tracker)) for _ in range(CONNECTIONS)
            ]
            prober.state()  # nothing is known yet, so it measures
            prober.start()
            quiet = stack.enter_context(closing(QuietProbes(prober)))
            predicted_s = {a.task: float(a.predicted.local_s) for a in order.arrivals}
            local = stack.enter_context(closing(LocalQueue(self._local, predicted_s.__getitem__)))
            algorithm = clients[0].congestion_control() or self._options.congestion_control
            sides = Sides(local, EdgePool(clients, quiet), prober, algorithm)
            driver = Driver(order, self._policy, sides)
            tasks = driver.run(self._payloads)
            cost = prober.cost
        return DriveOver(
            tasks=tasks,
            wrong=driver.wrong(),
            probe_bytes=cost.uplink_bytes + cost.downlink_bytes,
            resets=sum(client.resets for client in clients),
            congestion_control=algorithm,
        )


if __name__ == "__main__":
    main(tyro.cli(DeviceOptions), DrivenDevice)
