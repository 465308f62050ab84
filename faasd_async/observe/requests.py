"""Requests that were answered, under the names OpenFaaS' gateway has for them.

Every call passes here: so a request is a look-up, a bisection and two sums, and what Prometheus
wants is made of these when it asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from math import inf

from prometheus_client import Histogram, Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

_BUCKETS = Histogram.DEFAULT_BUCKETS
_NAMES = ["+Inf" if each == inf else repr(each) for each in _BUCKETS]
_LABELS = ("method", "path", "status")

#: Methods are anybody's to make up.
_METHODS = frozenset(
    (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE")
)
_OTHER = b"other"


class _Row:
    """What was answered alike.

    :ivar counts: by the bucket that the duration falls into.
    """

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * len(_BUCKETS)
        self.seconds = 0.0


class Requests(Collector):
    """Counts them."""

    def __init__(self) -> None:
        self._rows: dict[tuple[bytes, str, int], _Row] = {}

    def answered(self, method: bytes, path: str, status: int, seconds: float) -> None:
        """
        :param path: the route, one of a few: no name of a function, no id.
        """
        row = self._rows.get((method, path, status))
        if row is None:
            row = self._row(method, path, status)
        row.counts[bisect_left(_BUCKETS, seconds)] += 1
        row.seconds += seconds

    def _row(self, method: bytes, path: str, status: int) -> _Row:
        known = method if method in _METHODS else _OTHER
        return self._rows.setdefault((known, path, status), _Row())

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
            total.add_metric(labels, sum(row.counts))
            seconds.add_metric(labels, _cumulated(row.counts), row.seconds)
        yield from (total, seconds)


def _cumulated(counts: list[int]) -> list[tuple[str, float]]:
    below, buckets = 0, []
    for name, count in zip(_NAMES, counts, strict=True):
        below += count
        buckets.append((name, float(below)))
    return buckets
