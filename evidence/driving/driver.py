"""Has a decision engine place tasks as they arrive, whatever has become of those before.

Tasks placed on the device wait for its CPU; those sent to the edge share the link with each other
and with the probes. So queues, stale estimates and a policy's own traffic act on it.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from evidence.driving.executors import EdgePool
from evidence.driving.messages import Arrival, Drive, Driven
from offload.energy_model import CPU_BUSY_W, IDLE_W, get_radio
from offload.engine import DecisionEngine, TaskRecord
from offload.errors import OffloadError
from offload.interfaces import LinkEstimator, Policy
from offload.local_queue import LocalQueue
from offload.tasks import get_task
from offload.types import (
    NEVER_S,
    DecisionContext,
    DeviceState,
    ExecutionResult,
    LinkState,
    Outcome,
    PlacementCost,
    TaskInstance,
)

_NO_LINK = LinkState(0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Sides:
    """Where tasks can run, and what is known of the way there.

    Attributes:
        congestion_control: of the connections.
    """

    local: LocalQueue
    edge: EdgePool
    estimator: LinkEstimator
    congestion_control: str


class Driver:
    """One drive: arrivals in, an outcome each out.

    Args:
        order: what arrives, and when.
        policy: places it.
        sides: where it runs.
    """

    def __init__(self, order: Drive, policy: Policy, sides: Sides) -> None:
        self._order = order
        self._sides = sides
        self._radio = get_radio(order.radio)
        self._own = threading.local()
        self._results: dict[int, ExecutionResult] = {}
        self._engine = DecisionEngine(
            _Watched(policy, self._own),
            sides.local,
            sides.edge,
            sides.estimator,
            on_record=self._keep,
        )

    def run(self, payloads: dict[TaskInstance, bytes]) -> tuple[Driven, ...]:
        """Start each task at its time; returns when all have ended, in the order of arrival.

        Raises:
            OffloadError: the first task was due before the device was ready.
        """
        order = self._order
        late_s = time.monotonic() - order.start_s - order.arrivals[0].due_s
        if late_s > 0.0:
            raise OffloadError(f"the first task was due {late_s:.1f} s before the device was ready")
        with ThreadPoolExecutor(len(order.arrivals), thread_name_prefix="task") as tasks:
            under_way = []
            for index, arrival in enumerate(order.arrivals):
                time.sleep(max(0.0, order.start_s + arrival.due_s - time.monotonic()))
                payload = payloads[arrival.task]
                under_way.append(tasks.submit(self._place, index, arrival, payload))
            return tuple(future.result() for future in under_way)

    def wrong(self) -> tuple[int, ...]:
        """Tasks whose answers fail their own check; for when no time is measured any more."""
        return tuple(
            index
            for index, result in sorted(self._results.items())
            if result.outcome is not Outcome.FAILED
            and not _is_right(self._order.arrivals[index].task, result.output)
        )

    def _place(self, index: int, arrival: Arrival, payload: bytes) -> Driven:
        start_s = self._order.start_s
        called_s = time.monotonic()
        result = self._engine.run(arrival.task, payload, self._context(arrival))
        done_s = time.monotonic()
        self._results[index] = result
        record: TaskRecord = self._own.record
        context: DecisionContext = self._own.context
        return Driven(
            called_s=called_s - start_s,
            decided_s=called_s + record.decision_s - start_s,
            done_s=done_s - start_s,
            to_edge=bool(record.chosen),
            outcome=result.outcome,
            cost=_plain(PlacementCost, result.cost),
            lost_s=record.lost_s,
            budget_s=record.budget_s,
            output_bytes=len(result.output),
            reason=result.detail,
            link=_plain(LinkState, context.link),
            queue_s=float(context.device.queue_s),
            edge_queue_s=float(context.edge.queue_s),
            edge_age_s=min(float(context.edge.age_s), NEVER_S),
        )

    def _context(self, arrival: Arrival) -> DecisionContext:
        """What is known now; the engine puts the newest of the link in its place."""
        device = DeviceState(
            queue_s=self._sides.local.backlog_s(),
            battery=self._order.battery,
            radio=self._radio,
            radio_tail_left_s=self._sides.edge.awake_s(float(self._radio.tail_s)),
            cpu_w=CPU_BUSY_W,
            idle_w=IDLE_W,
        )
        return DecisionContext(
            link=_NO_LINK,
            task=arrival.predicted,
            device=device,
            edge=self._sides.edge.edge_state(),
            reference_s=arrival.reference_s,
            reference_j=CPU_BUSY_W * arrival.predicted.local_s,
            congestion_control=self._sides.congestion_control,
        )

    def _keep(self, record: TaskRecord) -> None:
        self._own.record = record  # the engine calls it in the task's own thread


class _Watched:
    """A policy of which each thread keeps what it was last shown."""

    sees_truth = False

    def __init__(self, policy: Policy, own: threading.local) -> None:
        self.name = policy.name
        self._policy = policy
        self._own = own

    def decide(self, context: DecisionContext) -> Any:
        """See :class:`offload.interfaces.Policy`."""
        self._own.context = context
        return self._policy.decide(context)


def _is_right(task: TaskInstance, output: bytes) -> bool:
    return get_task(task.kind).check(task.size, task.seed, output)


def _plain(kind: Any, values: Any) -> Any:
    """The same in plain numbers: an estimate may hold NumPy's."""
    return kind(*(float(getattr(values, name)) for name in kind.__slots__))
