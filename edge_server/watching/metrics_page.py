"""A registry of Prometheus metrics as a page."""

from __future__ import annotations

from http import HTTPStatus

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.exposition import choose_encoder

from edge_server.watching.http import Page
from edge_server.watching.tally import Histogram


def metrics_page(registry: CollectorRegistry, accept: str) -> Page:
    """Every metric of ``registry``: OpenMetrics where ``accept`` asks for it, else plain text."""
    encode, content_type = choose_encoder(accept)
    return Page(HTTPStatus.OK, content_type, encode(registry))


def histogram_family(name: str, documentation: str, histogram: Histogram) -> HistogramMetricFamily:
    """One histogram without labels."""
    buckets, total = histogram.cumulative()
    return HistogramMetricFamily(name, documentation, buckets=buckets, sum_value=total)
