"""The server's metrics page against numbers worked out by hand."""

from __future__ import annotations

import json
import logging
import socket
import urllib.error
import urllib.request

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from edge_server.protocol import ErrorCode
from edge_server.watching.http import PageServer
from edge_server.watching.logs import JsonFormatter, log_task
from edge_server.watching.server_page import ServerPages
from edge_server.watching.state import ServerState
from edge_server.watching.tally import MAX_KINDS, OTHER_KINDS, Histogram, ServerTally
from offload.errors import ConfigError

STATE = ServerState(
    waiting=3,
    running=2,
    workers=2,
    ready=2,
    draining=False,
    received=17,
    restarts=4,
    undeliverable=5,
    gate={"accepted": 6, "refused": 7},
)


def values(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample of a page by name and labels; the parser refuses a page that is none."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_value_on_a_bound_belongs_to_its_bucket() -> None:
    histogram = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.100001, 1.0, 7.0):
        histogram.add(value)
    assert histogram.counts == [2, 2, 1]
    buckets, total = histogram.cumulative()
    assert buckets == [("0.1", 2.0), ("1", 4.0), ("+Inf", 5.0)]
    assert total == pytest.approx(8.250001)


def test_a_page_holds_what_was_counted() -> None:
    tally = ServerTally()
    tally.answered("ocr", None, compute_s=0.2, total_s=0.3, budget_s=1.0)
    tally.answered("ocr", None, compute_s=0.004, total_s=1.5, budget_s=1.0)  # too late
    tally.answered("hash", ErrorCode.BUSY, compute_s=0.0, total_s=0.0001, budget_s=1.0)
    tally.answered("hash", ErrorCode.CANCELLED, compute_s=0.0, total_s=0.0, budget_s=1.0)
    tally.idle_cancels += 3
    page = values(ServerPages(tally, lambda: STATE).metrics("").body.decode())

    def one(name: str, **labels: str) -> float:
        return page[f"edge_server_{name}", tuple(sorted(labels.items()))]

    assert one("requests_total", outcome="ok") == 2
    assert one("requests_total", outcome="busy") == 1
    assert one("requests_total", outcome="cancelled") == 1
    assert one("idle_cancels_total") == 3
    assert one("late_answers_total") == 1
    assert one("request_seconds_count") == 4
    assert one("request_seconds_sum") == pytest.approx(1.8001)
    assert one("queue_seconds_sum") == pytest.approx(0.1 + 1.496 + 0.0001)
    assert one("queue_seconds_bucket", le="0.1") == 3
    assert one("compute_seconds_count", kind="ocr") == 2
    assert one("compute_seconds_bucket", kind="ocr", le="0.005") == 1
    assert one("compute_seconds_bucket", kind="ocr", le="0.25") == 2
    assert one("pending_tasks", state="waiting") == 3
    assert one("pending_tasks", state="running") == 2
    assert one("worker_restarts_total") == 4
    assert one("undeliverable_answers_total") == 5
    assert one("received_messages_total") == 17
    assert one("connections_total", result="refused") == 7
    assert page["process_open_fds", ()] > 0


def test_names_that_clients_make_up_do_not_grow_the_page() -> None:
    tally = ServerTally()
    for number in range(MAX_KINDS + 50):
        tally.answered(f"kind-{number}", None, compute_s=0.1, total_s=0.1, budget_s=1.0)
    assert len(tally.compute) == MAX_KINDS + 1
    assert sum(tally.compute[OTHER_KINDS].counts) == 50


def test_a_reader_may_ask_for_openmetrics() -> None:
    page = ServerPages(ServerTally(), lambda: STATE).metrics("application/openmetrics-text")
    assert page.content_type.startswith("application/openmetrics-text")
    families = list(openmetrics.text_string_to_metric_families(page.body.decode()))
    assert "edge_server_worker_restarts" in {family.name for family in families}


@pytest.mark.parametrize(
    ("ready", "draining", "locked", "status", "reason"),
    [
        (1, False, False, 200, b"serving\n"),
        (0, False, False, 503, b"no worker is ready\n"),
        (2, True, False, 503, b"draining\n"),
        (2, False, True, 503, b"the authenticator has died: nobody new is let in\n"),
    ],
)
def test_health(ready: int, draining: bool, locked: bool, status: int, reason: bytes) -> None:
    state = ServerState(0, 0, 2, ready, draining, 0, 0, 0, locked=locked)
    page = ServerPages(ServerTally(), lambda: state).health("")
    assert (page.status, page.body) == (status, reason)


def test_pages_are_served_until_closed() -> None:
    pages = ServerPages(ServerTally(), lambda: STATE)
    with PageServer("127.0.0.1", 0, {"/metrics": pages.metrics}) as server:
        address = f"http://127.0.0.1:{server.port}"
        with urllib.request.urlopen(f"{address}/metrics?x=1", timeout=10) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            assert b"edge_server_workers 2.0" in answer.read()
        with pytest.raises(urllib.error.HTTPError, match="404") as caught:
            urllib.request.urlopen(f"{address}/etc/passwd", timeout=10)
        caught.value.close()
        with pytest.raises(ConfigError, match="--metrics-port"):
            PageServer("127.0.0.1", server.port, {})
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.port)) != 0


def test_idle_readers_are_bounded_and_keep_nobody_from_health() -> None:
    pages = ServerPages(ServerTally(), lambda: STATE)
    with PageServer("127.0.0.1", 0, {"/healthz": pages.health}) as server:
        address = ("127.0.0.1", server.port)
        idle = [socket.create_connection(address, timeout=10) for _ in range(7)]
        with urllib.request.urlopen(
            f"http://127.0.0.1:{server.port}/healthz", timeout=10
        ) as answer:
            assert answer.status == 200
        for connection in idle:
            connection.close()


def test_an_address_that_is_no_ip_is_refused() -> None:
    with pytest.raises(ConfigError, match="--metrics-bind"):
        PageServer("localhost", 0, {})


def test_a_task_is_one_line_of_json_without_its_payload(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log_task(7, "ocr", "busy", 0.25, 0.0, 'full\n"up"')
    (record,) = caplog.records
    line = JsonFormatter().format(record)
    assert "\n" not in line
    read = json.loads(line)
    assert read["task"] == {
        "id": 7,
        "kind": "ocr",
        "outcome": "busy",
        "queue_s": 0.25,
        "compute_s": 0.0,
        "reason": 'full\n"up"',
    }
    assert read["level"] == "info"
    assert read["time"].endswith("Z")


def test_an_error_keeps_its_traceback_in_one_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        import sys

        record = logging.LogRecord("x", logging.ERROR, "f", 1, "it %s", ("broke",), sys.exc_info())
    read = json.loads(JsonFormatter().format(record))
    assert read["message"] == "it broke"
    assert "ValueError: two\nlines" in read["exception"]
