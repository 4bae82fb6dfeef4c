"""A client's metrics, from records of tasks that ended in every way."""

from __future__ import annotations

import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge_server.watching.client import ClientMetrics
from offload.engine import TaskRecord
from offload.types import Outcome, Placement, PlacementCost, TaskInstance

COST = PlacementCost(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def record(
    chosen: Placement, outcome: Outcome, total_s: float, *, reason: str = "", lost_s: float = 0.0
) -> TaskRecord:
    met = outcome.ok and total_s < 1.0
    task = TaskInstance("ocr", "small", 0)
    return TaskRecord(task, chosen, outcome, COST, total_s, 0.0, lost_s, 0.0, met, reason)


def test_every_kind_of_end_is_counted_and_served() -> None:
    metrics = ClientMetrics(late_answers=lambda: 3)
    edge, local = Placement.EDGE, Placement.LOCAL
    fallback = Outcome.FALLBACK_OK
    metrics(record(edge, Outcome.REMOTE_OK, 0.2))
    metrics(record(edge, Outcome.REMOTE_OK, 0.3))
    metrics(record(local, Outcome.LOCAL_OK, 2.0))  # too late
    metrics(record(edge, fallback, 0.9, reason="RemoteTimeout: no answer", lost_s=0.5))
    metrics(record(edge, fallback, 0.9, reason="RemoteFailure: worker_died: x", lost_s=0.25))
    metrics(record(edge, fallback, 0.9, reason="RemoteDisconnected: no edge server answers"))
    metrics(record(edge, fallback, 0.9, reason="<made up by somebody>"))
    metrics(record(edge, fallback, 0.9, reason="no answer of the edge 0.100 s before the deadline"))
    metrics(record(edge, Outcome.FAILED, 0.1, reason="TaskError: bad input"))
    metrics(record(local, Outcome.CANCELLED, 0.1))
    with (
        metrics.serve(0) as server,
        urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10) as answer,
    ):
        text = answer.read().decode()
    page = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert page["offload_decisions_total", "edge"] == 8
    assert page["offload_decisions_total", "local"] == 2
    assert page["offload_tasks_total", "remote_ok"] == 2
    assert page["offload_tasks_total", "fallback_ok"] == 5
    assert page["offload_tasks_total", "failed"] == 1
    assert page["offload_tasks_total", "cancelled"] == 1
    assert page["offload_fallbacks_total", "RemoteTimeout"] == 1
    assert page["offload_fallbacks_total", "RemoteDisconnected"] == 1
    assert page["offload_fallbacks_total", "worker_died"] == 1
    assert page["offload_fallbacks_total", "other"] == 1
    assert page["offload_fallbacks_total", "no_answer"] == 1
    assert page["offload_deadlines_missed_total",] == 2
    assert page["offload_late_answers_total",] == 3
    assert page["offload_lost_seconds_total",] == pytest.approx(0.75)
    assert page["offload_task_seconds_count", "remote_ok"] == 2
    assert page["offload_task_seconds_bucket", "0.25", "remote_ok"] == 1


def test_without_a_client_late_answers_are_left_out_not_called_none() -> None:
    assert b"late_answers" not in ClientMetrics().page().body
