"""The figures, under the names OpenFaaS' dashboards know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from faasd_async.call.ending import Ending
from faasd_async.call.request import CallbackRequest, QueueRequest
from faasd_async.observe.glance import Functions, Glance, Reconnects
from faasd_async.observe.hour import Durations
from faasd_async.observe.requests import Requests

T = TypeVar("T")

#: Up to how many seconds each class of durations goes, as OpenFaaS' gateway has them.
DURATION_BOUNDS = (*Histogram.DEFAULT_BUCKETS,)


class _Children(dict[tuple[object, ...], T]):
    """What a figure has for each of its labels. Prometheus' own look-up costs more than a count.

    :param child: makes it, or finds it, given the labels.
    """

    def __init__(self, child: Callable[..., T]) -> None:
        super().__init__()
        self._child = child

    def __missing__(self, labels: tuple[object, ...]) -> T:
        child = self[labels] = self._child(*labels)
        return child


class Figures:
    """Counts calls.

    :ivar requests: what the gateway has answered.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Requests()
        self._registry.register(self.requests)
        function_code = ("function_name", "code")
        self._invocations = Counter(
            "gateway_function_invocation",
            "Invocations that ended, by function and status.",
            function_code,
            registry=self._registry,
        )
        self._seconds = Histogram(
            "gateway_functions_seconds",
            "How long invocations took.",
            function_code,
            registry=self._registry,
        )
        self._accepted = Counter(
            "queue_worker_messages_submitted",
            "Calls accepted into the queue.",
            ("queue_name", "function_name"),
            registry=self._registry,
        )
        self._processed = Counter(
            "queue_worker_messages_processed",
            "Calls taken from the queue that have come to their end, by how they ended.",
            ("queue_name", "function_name", "state"),
            registry=self._registry,
        )
        self._callbacks = Counter(
            "faasd_async_callbacks",
            "Callbacks, by what became of them.",
            ("function_name", "result"),
            registry=self._registry,
        )
        self._bytes = Gauge(
            "faasd_async_stream_bytes",
            "What a stream of the queue holds.",
            ("stream",),
            registry=self._registry,
        )
        self._messages = Gauge(
            "faasd_async_stream_messages",
            "How many messages a stream of the queue holds.",
            ("stream",),
            registry=self._registry,
        )
        self._quota = Gauge(
            "faasd_async_stream_quota_bytes",
            "What a stream of the queue may hold.",
            ("stream",),
            registry=self._registry,
        )

        self._waiting = Gauge(
            "queue_worker_pending_messages",
            "Calls that wait for their first attempt.",
            ("queue_name", "function_name"),
            registry=self._registry,
        )
        self._widths = Gauge(
            "faasd_async_function_concurrency",
            "How many calls of a function may run at a time, as far as it has been found out.",
            ("function_name",),
            registry=self._registry,
        )
        self._ages = Gauge(
            "faasd_async_oldest_seconds",
            "How long the oldest call has waited.",
            ("queue_name", "function_name"),
            registry=self._registry,
        )
        self._retries = Counter(
            "faasd_async_retries",
            "Attempts at queued calls that were not the first.",
            ("function_name",),
            registry=self._registry,
        )
        self._dead_letters = Counter(
            "faasd_async_dead_letters",
            "Calls that became dead letters, by the reason.",
            ("function_name", "reason"),
            registry=self._registry,
        )
        self._answered: dict[str, float] = {}
        self._of_status = _Children(
            lambda function, status: (
                self._invocations.labels(function, str(status)).inc,
                self._seconds.labels(function, str(status)).observe,
            )
        )
        self._of_accepted = _Children(lambda *labels: self._accepted.labels(*labels).inc)
        self._of_processed = _Children(lambda *labels: self._processed.labels(*labels).inc)
        self._of_callbacks = _Children(lambda *labels: self._callbacks.labels(*labels).inc)

    def render(self) -> tuple[bytes, str]:
        """:return: the text Prometheus reads, and its content type."""
        self._count_receipts()
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def invocations(self) -> Mapping[str, int]:
        """How often each function was invoked, at once or from the queue, whatever came of it."""
        return {name: int(count) for name, count in self._ended().items()}

    def durations(self) -> Mapping[str, Durations]:
        """How long invocations of each function took, by :data:`DURATION_BOUNDS`."""
        counted: dict[str, list[int]] = {}
        errors: dict[str, int] = {}
        for sample in self._samples(self._seconds, "_bucket"):
            name, bound = sample.labels["function_name"], float(sample.labels["le"])
            counts = counted.setdefault(name, [0] * len(DURATION_BOUNDS))
            counts[DURATION_BOUNDS.index(bound)] += int(sample.value)
            if bound == DURATION_BOUNDS[-1] and int(sample.labels["code"]) >= 400:
                errors[name] = errors.get(name, 0) + int(sample.value)
        return {
            name: Durations(counts[-1], errors.get(name, 0), tuple(counts))
            for name, counts in counted.items()
        }

    def watch_disk(self, free_bytes: Callable[[], int | None]) -> None:
        """Show what a disk has left, from now on."""
        gauge = Gauge(
            "faasd_async_disk_free_bytes",
            "What the disk of the state directory has left.",
            registry=self._registry,
        )

        def read() -> float:
            free = free_bytes()
            return float("nan") if free is None else float(free)

        gauge.set_function(read)

    def stored(self, stream: str, size_bytes: int, messages: int, quota_bytes: int) -> None:
        self._bytes.labels(stream).set(size_bytes)
        self._messages.labels(stream).set(messages)
        self._quota.labels(stream).set(quota_bytes)

    def look_at(self, functions: Functions, reconnects: Reconnects) -> None:
        """Show how things are, from now on."""
        self._registry.register(Glance(functions, reconnects, self._ended))

    def flow(
        self,
        waiting: Mapping[tuple[str, str], int],
        ages: Mapping[tuple[str, str], float],
        widths: Mapping[str, int],
    ) -> None:
        """What it is now, of all there are.

        :param waiting: by queue and function.
        :param ages: of the oldest call, in seconds, where there is one; likewise.
        :param widths: by function.
        """
        self._waiting.clear()
        for labels, count in waiting.items():
            self._waiting.labels(*labels).set(count)
        self._ages.clear()
        for labels, age in ages.items():
            self._ages.labels(*labels).set(age)
        self._widths.clear()
        for function, width in widths.items():
            self._widths.labels(function).set(width)

    def invoked(self, function: str, status: int, seconds: float) -> None:
        count, observe = self._of_status[function, status]
        count()
        observe(seconds)

    def accepted(self, request: QueueRequest) -> None:
        self._of_accepted[request.queue, request.function]()

    def retried(self, function: str) -> None:
        self._retries.labels(function).inc()

    def ended(self, request: QueueRequest, ending: Ending, buried: bool) -> None:
        """:param buried: it becomes a dead letter."""
        self._of_processed[request.queue, request.function, ending.state]()
        if buried:
            self._dead_letters.labels(request.function, ending.reason or "").inc()

    def callback(self, callback: CallbackRequest, result: str) -> None:
        """:param result: ``delivered``, ``failed`` (to be tried again) or ``given_up``."""
        self._of_callbacks[callback.function, result]()

    def _count_receipts(self) -> None:
        """Count the 202s among the answers, as OpenFaaS does: when somebody looks, not at each."""
        now: dict[str, float] = {}
        for sample in self._samples(self._accepted):
            name = sample.labels["function_name"]
            now[name] = now.get(name, 0) + sample.value
        for name, count in now.items():
            fresh = count - self._answered.get(name, 0)
            self._invocations.labels(name, "202").inc(fresh)
        self._answered = now

    def _ended(self) -> dict[str, float]:
        """Invocations that have ended, by function: what has a duration, for a receipt has none."""
        ended: dict[str, float] = {}
        for sample in self._samples(self._seconds, "_count"):
            name = sample.labels["function_name"]
            ended[name] = ended.get(name, 0) + sample.value
        return ended

    def _samples(self, of: Collector, ending: str = "_total") -> Iterator[Sample]:
        for metric in of.collect():
            yield from (each for each in metric.samples if each.name.endswith(ending))
