"""The figures, under the names OpenFaaS' dashboards know."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from faasd_async.call.request import CallbackRequest, Outcome, QueueRequest


class Figures:
    """Counts calls."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
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
            "Calls taken from the queue and run to an end.",
            ("queue_name", "function_name"),
            registry=self._registry,
        )
        self._callbacks = Counter(
            "faasd_async_callbacks",
            "Callbacks, by what became of them.",
            ("function_name", "result"),
            registry=self._registry,
        )

    def render(self) -> tuple[bytes, str]:
        """:return: the text Prometheus reads, and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def invoked(self, function: str, status: int, seconds: float) -> None:
        self._invocations.labels(function, str(status)).inc()
        self._seconds.labels(function, str(status)).observe(seconds)

    def accepted(self, request: QueueRequest) -> None:
        self._accepted.labels(request.queue, request.function).inc()

    def finished(self, request: QueueRequest, outcome: Outcome) -> None:
        self.invoked(request.function, outcome.status, outcome.duration_seconds)
        self._processed.labels(request.queue, request.function).inc()

    def callback(self, callback: CallbackRequest, result: str) -> None:
        """:param result: ``delivered``, ``failed`` (to be tried again) or ``given_up``."""
        self._callbacks.labels(callback.function, result).inc()
