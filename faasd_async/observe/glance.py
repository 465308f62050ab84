"""What is looked up only when somebody looks: how things are at this moment.

Nobody is told of it, so it costs the way of a call nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class FunctionNow(NamedTuple):
    """A function as it is deployed.

    :ivar running: invocations that run, for whomever.
    :ivar queued: how many of these are for queued calls.
    :ivar replicas: how many of it there are.
    :ivar available: how many of these would take a call.
    """

    name: str
    queue: str
    running: int
    queued: int
    replicas: int = 1
    available: int = 1


#: Looks.
Functions = Callable[[], Iterable[FunctionNow]]
#: How often the connection to NATS was replaced.
Reconnects = Callable[[], int]
#: What has ended, by function.
Ended = Callable[[], Mapping[str, int]]


class Glance(Collector):
    """Shows it, under OpenFaaS' names."""

    def __init__(self, functions: Functions, reconnects: Reconnects, ended: Ended) -> None:
        self._functions = functions
        self._reconnects = reconnects
        self._ended = ended

    def describe(self) -> Iterator[Metric]:
        """Nothing, lest it be collected while it is registered."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        yield from self._of_functions()
        for part in ("gateway", "queue_worker"):
            yield CounterMetricFamily(
                f"{part}_nats_reconnect",
                "How often the connection to NATS was replaced.",
                self._reconnects(),
            )

    def _of_functions(self) -> Iterator[Metric]:
        by_name, by_both = ("function_name",), ("queue_name", "function_name")
        there = [
            GaugeMetricFamily(f"gateway_service_{name}", text, labels=by_name)
            for name, text in (
                ("count", "How many of a function there are."),
                ("ready_count", "How many of a function can be called."),
                ("target", "How many of a function there should be."),
                ("min", "How many of a function there are at least."),
            )
        ]
        started = GaugeMetricFamily(
            "gateway_function_invocation_started", "Invocations that have begun.", labels=by_name
        )
        running = GaugeMetricFamily(
            "gateway_invocation_function_invocation_inflight",
            "Invocations that run.",
            labels=by_name,
        )
        queued = GaugeMetricFamily(
            "queue_worker_function_invocation_inflight",
            "Invocations of queued calls that run.",
            labels=by_both,
        )
        ended = self._ended()
        for function in self._functions():
            replicas, available = function.replicas, function.available
            for each, value in zip(there, (replicas, available, replicas, 1), strict=True):
                each.add_metric((function.name,), value)
            begun = ended.get(function.name, 0) + function.running
            started.add_metric((function.name,), begun)
            running.add_metric((function.name,), function.running)
            queued.add_metric((function.queue, function.name), function.queued)
        yield from (*there, started, running, queued)
