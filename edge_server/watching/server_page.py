"""The server's metrics and health as pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from edge_server.watching.http import Page, PageServer
from edge_server.watching.metrics_page import histogram_family, metrics_page
from edge_server.watching.state import ServerState
from edge_server.watching.tally import ServerTally


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
            "Answered requests to run a task, by outcome: ok, or the error code.",
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
            "edge_server_compute_seconds",
            "The task itself, of those ok.",
            labels=("kind",),
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
        yield GaugeMetricFamily(
            "edge_server_quarantined_tasks",
            "Tasks not run any more, since they ended their workers.",
            state.quarantined,
        )
        yield CounterMetricFamily(
            "edge_server_received_messages", "Messages of any kind.", state.received
        )
        yield CounterMetricFamily(
            "edge_server_late_answers", "Outputs ready after their client's budget.", tally.late
        )
        yield CounterMetricFamily(
            "edge_server_idle_cancels",
            "Cancels of requests that were not open, or not any more.",
            tally.idle_cancels,
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


def serve_pages(
    bind: str, port: int, tally: ServerTally, state: Callable[[], ServerState]
) -> PageServer:
    """Serve a server's pages at ``/metrics`` and ``/healthz`` until the result is closed.

    Raises:
        ConfigError: it cannot listen there.
    """
    pages = ServerPages(tally, state)
    return PageServer(bind, port, {"/metrics": pages.metrics, "/healthz": pages.health})
