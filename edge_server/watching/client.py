"""A client program's metrics: where its tasks went, and what became of them.

metrics = ClientMetrics(late_answers=lambda: offloader.late_answers)
with connect(host, port, on_record=metrics) as offloader, metrics.serve(9465):
    ...
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http import HTTPStatus

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from edge_server.protocol import ErrorCode
from edge_server.watching.http import Page, PageServer
from edge_server.watching.metrics_page import metrics_page
from edge_server.watching.tally import Histogram
from offload.engine import TaskRecord
from offload.types import Outcome, Placement

_KNOWN_REASONS = frozenset(
    {"RemoteTimeout", "RemoteDisconnected", "RemoteBusy", "RemoteFailure", *ErrorCode}
)
_REASON = re.compile(r"(?:RemoteFailure: )?(\w+)")


class ClientMetrics:
    """Counts task records; it is the ``on_record`` of ``offload.connect`` or of an engine.

    Any thread may report a record.

    Args:
        late_answers: how many answers came after they were given up; None leaves the metric out.
    """

    def __init__(self, *, late_answers: Callable[[], int] | None = None) -> None:
        self._late_answers = late_answers
        self._lock = threading.Lock()
        self._decisions: Counter[str] = Counter()
        self._outcomes: Counter[str] = Counter()
        self._fallbacks: Counter[str] = Counter()
        self._missed = 0
        self._lost_s = 0.0
        self._seconds = {outcome.value: Histogram() for outcome in Outcome}
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def __call__(self, record: TaskRecord) -> None:
        """Count one task."""
        outcome = record.outcome.value
        with self._lock:
            self._decisions[record.chosen.name.lower()] += 1
            self._outcomes[outcome] += 1
            self._seconds[outcome].add(record.total_s)
            self._lost_s += record.lost_s
            self._missed += not (record.deadline_met or record.outcome is Outcome.CANCELLED)
            if record.outcome is Outcome.FALLBACK_OK:
                self._fallbacks[_reason(record.reason)] += 1

    def serve(self, port: int, bind: str = "127.0.0.1") -> PageServer:
        """Serve ``/metrics`` and ``/healthz`` until the returned server is closed.

        Raises:
            ConfigError: it cannot listen there.
        """
        alive = Page(HTTPStatus.OK, "text/plain; charset=utf-8", b"running\n")
        return PageServer(bind, port, {"/metrics": self.page, "/healthz": lambda accept: alive})

    def page(self, accept: str = "") -> Page:
        """Every metric, in the format that ``accept`` prefers."""
        return metrics_page(self._registry, accept)

    def collect(self) -> Iterator[Metric]:
        """The families, read anew at each scrape."""
        with self._lock:
            families = self._families()
        yield from families

    def _families(self) -> list[Metric]:
        decisions = _by_label(
            "offload_decisions", "Tasks by the site that the policy chose.", "site"
        )
        for site in Placement:
            decisions.add_metric((site.name.lower(),), self._decisions[site.name.lower()])
        outcomes = _by_label("offload_tasks", "Tasks by how they ended.", "outcome")
        seconds = HistogramMetricFamily(
            "offload_task_seconds", "From the call to the outcome.", labels=("outcome",)
        )
        for outcome, histogram in self._seconds.items():
            outcomes.add_metric((outcome,), self._outcomes[outcome])
            seconds.add_metric((outcome,), *histogram.cumulative())
        fallbacks = _by_label(
            "offload_fallbacks", "Tasks the device ran after the edge failed, by reason.", "reason"
        )
        for reason, count in sorted(self._fallbacks.items()):
            fallbacks.add_metric((reason,), count)
        families = [
            decisions,
            outcomes,
            seconds,
            fallbacks,
            CounterMetricFamily(
                "offload_deadlines_missed", "Tasks that failed or ended too late.", self._missed
            ),
            CounterMetricFamily(
                "offload_lost_seconds", "Time on edge attempts that brought nothing.", self._lost_s
            ),
        ]
        if self._late_answers is not None:
            late = self._late_answers()
            families.append(
                CounterMetricFamily(
                    "offload_late_answers", "Answers that came after they were given up.", late
                )
            )
        return families


def _by_label(name: str, documentation: str, label: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, documentation, labels=(label,))


def _reason(text: str) -> str:
    """``RemoteTimeout``, the error code of a RemoteFailure, ``no_answer`` where the device was
    started since the deadline came near; anything else is ``other``.
    """
    if text.startswith("no answer of the edge"):
        return "no_answer"
    found = _REASON.match(text)
    name = found[1] if found else ""
    return name if name in _KNOWN_REASONS else "other"
