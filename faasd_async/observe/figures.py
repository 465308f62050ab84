"""The figures, under the names OpenFaaS' dashboards know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import TypeVar

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from faasd_async.call.ending import Ending
from faasd_async.call.plain import PlainCall
from faasd_async.call.request import CallbackRequest, QueueRequest
from faasd_async.observe.glance import Functions, Glance, Reconnects
from faasd_async.observe.hour import Durations
from faasd_async.observe.requests import Requests
from faasd_async.observe.tally import SECONDS, Counts, Spread, Spreads

C = TypeVar("C", bound=Collector)

#: Upper bounds of the buckets: of what is over in milliseconds; and of how many things there are.
_SHORT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_NUMBERS = tuple(2**power for power in range(14))

#: Up to how many seconds each class of durations goes.
DURATION_BOUNDS = (*SECONDS, inf)


class Figures:
    """Counts calls."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = self._shown(Requests())
        self._invocations = self._shown(
            Counts(
                "gateway_function_invocation",
                "Invocations that ended, by function and status.",
                ("function_name", "code"),
            )
        )
        self._seconds = self._shown(
            Spreads(
                "gateway_functions_seconds",
                "How long invocations took.",
                ("function_name", "code"),
                SECONDS,
            )
        )
        self._accepted = self._shown(
            Counts(
                "queue_worker_messages_submitted",
                "Calls accepted into the queue.",
                ("queue_name", "function_name"),
            )
        )
        self._accept_seconds = self._spread(
            "faasd_async_accept_seconds",
            "How long it took until a call that came was safe, and its receipt could be written.",
            _SHORT_SECONDS,
        )
        self._flush_seconds = self._spread(
            "faasd_async_flush_seconds",
            "How long flushes of the queue's disk took.",
            _SHORT_SECONDS,
        )
        self._flush_promises = self._spread(
            "faasd_async_flush_promises",
            "How much was waiting for a flush of the queue's disk: calls to be accepted, ends.",
            _NUMBERS,
        )
        self._processed = self._shown(
            Counts(
                "queue_worker_messages_processed",
                "Calls taken from the queue that have come to their end, by how they ended.",
                ("queue_name", "function_name", "state"),
            )
        )
        self._callbacks = self._shown(
            Counts(
                "faasd_async_callbacks",
                "Callbacks, by what became of them.",
                ("function_name", "result"),
            )
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
        self._retries = self._shown(
            Counts(
                "faasd_async_retries",
                "Attempts at queued calls that were not the first.",
                ("function_name",),
            )
        )
        self._dead_letters = self._shown(
            Counts(
                "faasd_async_dead_letters",
                "Calls that became dead letters, by the reason.",
                ("function_name", "reason"),
            )
        )
        self._answered: dict[str, int] = {}

    def _shown(self, figure: C) -> C:
        self._registry.register(figure)
        return figure

    def _spread(self, name: str, about: str, bounds: Sequence[float]) -> Spread:
        """A histogram without labels."""
        return self._shown(Spreads(name, about, (), bounds)).by_labels[()]

    def render(self) -> tuple[bytes, str]:
        """:return: the text Prometheus reads, and its content type."""
        self._count_receipts()
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def invocations(self) -> Mapping[str, int]:
        """How often each function was invoked, at once or from the queue, whatever came of it."""
        return self._ended()

    def durations(self) -> Mapping[str, Durations]:
        """How long invocations of each function took, by :data:`DURATION_BOUNDS`."""
        counted: dict[str, list[int]] = {}
        errors: dict[str, int] = {}
        for (function, status), spread in self._seconds.by_labels.items():
            name = str(function)
            before = counted.get(name, [0] * len(DURATION_BOUNDS))
            counted[name] = [sum(both) for both in zip(before, spread.cumulative, strict=True)]
            if int(str(status)) >= 400:
                errors[name] = errors.get(name, 0) + spread.count
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
        labels = function, status
        self._invocations.by_labels[labels] += 1
        self._seconds.by_labels[labels].add(seconds)

    def accepted(self, request: PlainCall | QueueRequest, seconds: float | None = None) -> None:
        """:param seconds: from its coming until it was safe, where somebody waited for that."""
        self._accepted.by_labels[request.queue, request.function] += 1
        if seconds is not None:
            self._accept_seconds.add(seconds)

    def flushed(self, promises: int, seconds: float) -> None:
        """The queue's disk was flushed, for so many who waited for it."""
        self._flush_promises.add(promises)
        self._flush_seconds.add(seconds)

    def retried(self, function: str) -> None:
        self._retries.by_labels[(function,)] += 1

    def ended(self, request: QueueRequest, ending: Ending, buried: bool) -> None:
        """:param buried: it becomes a dead letter."""
        self._processed.by_labels[request.queue, request.function, ending.state] += 1
        if buried:
            self._dead_letters.by_labels[request.function, ending.reason or ""] += 1

    def callback(self, callback: CallbackRequest, result: str) -> None:
        """:param result: ``delivered``, ``failed`` (to be tried again) or ``given_up``."""
        self._callbacks.by_labels[callback.function, result] += 1

    def _count_receipts(self) -> None:
        """Count the 202s among the answers, as OpenFaaS does: when somebody looks, not at each."""
        now: dict[str, int] = defaultdict(int)
        for (_, function), count in self._accepted.by_labels.items():
            now[str(function)] += count
        for name, count in now.items():
            self._invocations.by_labels[name, 202] += count - self._answered.get(name, 0)
        self._answered = now

    def _ended(self) -> dict[str, int]:
        """Invocations that have ended, by function: what has a duration, for a receipt has none."""
        ended: dict[str, int] = defaultdict(int)
        for (function, _), spread in self._seconds.by_labels.items():
            ended[str(function)] += spread.count
        return ended
