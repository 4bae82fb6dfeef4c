"""The server's metrics and health as pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from edge_server.watching.http import Page
from edge_server.watching.metrics_page import histogram_family, metrics_page
from edge_server.watching.tally import ServerTally


@dataclass(frozen=True, slots=True)
class ServerState:
    """How a server stands at one moment.

    Attributes:
        waiting, running: tasks admitted and not answered yet.
        workers, ready: workers it is to have; those that are idle or run a task.
        draining: it takes no task any more.
        received: messages of any kind.
        restarts: workers that ended and were replaced.
        undeliverable: answers whose client had gone or did not read.
        gate: connections by what became of them at the gate, e.g. ``accepted``.
        connections: open ones.
        locked: the authenticator has died, and nobody new is let in.
    """

    waiting: int
    running: int
    workers: int
    ready: int
    draining: bool
    received: int
    restarts: int
    undeliverable: int
    gate: Mapping[str, int] = field(default_factory=dict)
    connections: int = 0
    locked: bool = False

    @property
    def health(self) -> tuple[bool, str]:
        """Whether a task that came now would be taken, and the reason in a word or two."""
        if self.draining:
            return False, "draining"
        if self.locked:
            return False, "the authenticator has died: nobody new is let in"
        return (True, "serving") if self.ready else (False, "no worker is ready")


class ServerPages:
    """Makes ``/metrics`` and ``/healthz`` of one server.

    Args:
        tally: what became of its tasks.
        state: asks how it stands; called in the thread of the pages' server.
    """

    def __init__(self, tally: ServerTally, state: Callable[[], ServerState]) -> None:
        self._tally = tally
        self._state = state
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def metrics(self, accept: str) -> Page:
        """Every metric, in the format that ``accept`` prefers."""
        return metrics_page(self._registry, accept)

    def health(self, accept: str) -> Page:
        """200 where a task that came now would be taken, else 503 with the reason."""
        well, reason = self._state().health
        status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
        return Page(status, "text/plain; charset=utf-8", f"{reason}\n".encode())

    def collect(self) -> Iterator[Metric]:
        """The families, read anew at each scrape."""
        state, tally = self._state(), self._tally
        outcomes = CounterMetricFamily(
            "edge_server_requests",
            "Answered requests to run a task, by outcome: done, or the error code.",
            labels=("outcome",),
        )
        for outcome, count in sorted(tally.outcomes.copy().items()):
            outcomes.add_metric((outcome,), count)
        yield outcomes
        yield histogram_family(
            "edge_server_request_seconds", "From the whole request to its answer.", tally.request
        )
        yield histogram_family(
            "edge_server_queue_seconds", "Of the request, what was not the task.", tally.queue
        )
        compute = HistogramMetricFamily(
            "edge_server_compute_seconds", "The task itself, of those done.", labels=("kind",)
        )
        for kind, histogram in sorted(tally.compute.copy().items()):
            compute.add_metric((kind,), *histogram.cumulative())
        yield compute
        pending = GaugeMetricFamily(
            "edge_server_pending_tasks", "Admitted and not answered yet.", labels=("state",)
        )
        pending.add_metric(("waiting",), state.waiting)
        pending.add_metric(("running",), state.running)
        yield pending
        yield GaugeMetricFamily("edge_server_workers", "Workers it is to have.", state.workers)
        yield GaugeMetricFamily("edge_server_workers_ready", "Workers up.", state.ready)
        yield GaugeMetricFamily(
            "edge_server_draining", "1 while it takes no task any more.", float(state.draining)
        )
        yield CounterMetricFamily(
            "edge_server_worker_restarts", "Workers that ended and were replaced.", state.restarts
        )
        yield CounterMetricFamily(
            "edge_server_received_messages", "Messages of any kind.", state.received
        )
        yield CounterMetricFamily(
            "edge_server_late_answers", "Outputs ready after their client's budget.", tally.late
        )
        yield CounterMetricFamily(
            "edge_server_undeliverable_answers",
            "Answers whose client had gone or did not read.",
            state.undeliverable,
        )
        gate = CounterMetricFamily(
            "edge_server_connections",
            "Connections by what became of them: accepted, refused, or closed for a reason.",
            labels=("result",),
        )
        for result, count in sorted(dict(state.gate).items()):
            gate.add_metric((result,), count)
        yield gate
        yield GaugeMetricFamily(
            "edge_server_open_connections", "Connections that stand.", state.connections
        )
        yield GaugeMetricFamily(
            "edge_server_locked", "1 once the authenticator has died.", float(state.locked)
        )
