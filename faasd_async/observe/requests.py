"""Requests that were answered, under the names OpenFaaS' gateway has for them.

Every call passes here: so a request is a look-up, a bisection and two sums, and what Prometheus
wants is made of these when it asks.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from faasd_async.observe.tally import SECONDS, Spread

_LABELS = ("method", "path", "status")

#: Methods are anybody's to make up.
_METHODS = frozenset(
    (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE")
)
_OTHER = b"other"


class Requests(Collector):
    """Counts them."""

    def __init__(self) -> None:
        self._rows: dict[tuple[bytes, str, int], Spread] = {}

    def answered(self, method: bytes, path: str, status: int, seconds: float) -> None:
        """
        :param path: the route, one of a few: no name of a function, no id.
        """
        row = self._rows.get((method, path, status))
        if row is None:
            row = self._row(method, path, status)
        row.add(seconds)

    def _row(self, method: bytes, path: str, status: int) -> Spread:
        known = method if method in _METHODS else _OTHER
        return self._rows.setdefault((known, path, status), Spread(SECONDS))

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        total = CounterMetricFamily("http_requests", "Requests answered.", labels=_LABELS)
        seconds = HistogramMetricFamily(
            "http_request_duration_seconds",
            "How long requests took until their answer was whole.",
            labels=_LABELS,
        )
        for (method, path, status), row in self._rows.items():
            labels = (method.decode(), path, str(status))
            total.add_metric(labels, row.count)
            row.show(seconds, labels)
        yield from (total, seconds)
