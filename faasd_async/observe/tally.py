"""Figures that are counted on the way of each call.

Prometheus' own may be counted in any thread, and pay for that with a lock each time. The daemon
counts in one, so an entry in a dictionary or a list does; what is shown is put together when
somebody looks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import inf

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Labels = tuple[object, ...]

#: Upper bounds of the buckets for how long something that is called takes, as Prometheus has them.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


class Counts(Collector):
    """A counter.

    :param labels: their names.
    :ivar by_labels: how many there were, by the labels' values; whoever counts adds to it.
    """

    def __init__(self, name: str, about: str, labels: Sequence[str]) -> None:
        self._name = name
        self._about = about
        self._labels = labels
        self.by_labels: defaultdict[Labels, int] = defaultdict(int)

    def describe(self) -> Iterator[Metric]:
        """Nothing, lest it be collected while it is registered."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(self._name, self._about, labels=self._labels)
        for labels, count in self.by_labels.items():
            family.add_metric([*map(str, labels)], count)
        yield family


class Spread:
    """How values are spread over the buckets of a histogram.

    :param bounds: the largest value of each bucket, ascending; one more holds what is above.
    """

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self._counts)

    @property
    def cumulative(self) -> Sequence[int]:
        """How many values there were up to each bound, and up to whatever size."""
        return tuple(accumulate(self._counts))

    def show(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        """Add what there is to what is shown."""
        buckets = [
            # As Prometheus writes numbers, which its library does not do by itself here.
            (floatToGoString(bound), count)  # type: ignore[no-untyped-call]
            for bound, count in zip((*self._bounds, inf), self.cumulative, strict=True)
        ]
        family.add_metric(labels, buckets, self._sum)


class Spreads(Collector):
    """A histogram.

    :param labels: their names.
    :param bounds: as of each :class:`Spread`.
    :ivar by_labels: the spread of each; whoever has a value adds it there.
    """

    def __init__(
        self, name: str, about: str, labels: Sequence[str], bounds: Sequence[float]
    ) -> None:
        self._name = name
        self._about = about
        self._labels = labels
        self.by_labels: defaultdict[Labels, Spread] = defaultdict(lambda: Spread(bounds))

    def describe(self) -> Iterator[Metric]:
        """As of :class:`Counts`."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self._name, self._about, labels=self._labels)
        for labels, spread in self.by_labels.items():
            spread.show(family, [*map(str, labels)])
        yield family
