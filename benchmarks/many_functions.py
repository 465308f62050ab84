"""Many functions: calls of each in turn are accepted while none is answered, and then they run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.caller import put
from benchmarks.command import Benchmark, run
from benchmarks.daemon import Setup, daemon
from benchmarks.figures import Figures
from benchmarks.harness import BenchmarkFailed, Noop
from benchmarks.processes import a_call


@dataclass(frozen=True)
class Amounts:
    functions: int = field(default=200, metadata={"help": "that are deployed"})
    calls_each: int = field(default=50, metadata={"help": "of each function"})
    connections: int = field(default=64, metadata={"help": "to put the calls with"})
    max_inflight: int = field(default=100, metadata={"help": "calls at a time"})


def measure(amounts: Amounts) -> Iterator[Figures]:
    names = tuple(f"noop-{number}" for number in range(amounts.functions))
    calls = amounts.functions * amounts.calls_each
    noop = Noop(calls, distinct=True)
    setup = Setup(noop.port, amounts.max_inflight, functions=names)
    with daemon(setup) as running:
        yield Figures(
            f"{amounts.functions} functions, start",
            memory_mib=running.processes.memory_mib(),
            times_ms={"until ready": running.ready_seconds * 1e3},
        )
        with running.processes.costs() as costs:
            seen = put(running.port, calls, amounts.connections, names)
        yield Figures(
            f"{amounts.functions} functions, accept",
            rate=seen.rate,
            p50_ms=seen.p50_ms,
            p99_ms=seen.p99_ms,
            cpu_us=a_call(costs, calls),
            memory_mib=running.processes.memory_mib(),
        )
        with running.processes.costs() as costs:
            began = noop.release()
            noop.wait_for("calls")
            _, until = running.wait_until_ended(calls)
        ended = running.figures("queue_worker_messages_processed_total")
        if list(ended.values()) != [amounts.calls_each] * amounts.functions:
            raise BenchmarkFailed(f"{amounts.calls_each} calls of each were due, but: {ended}")
        yield Figures(
            f"{amounts.functions} functions, drain",
            rate=calls / (until - began),
            cpu_us=a_call(costs, calls),
            memory_mib=running.processes.memory_mib(),
        )
    came, _ = noop.stop()
    if came != calls:
        raise BenchmarkFailed(f"{calls} calls were due, {came} came")


BENCHMARK = Benchmark(
    "many_functions", measure, usual=Amounts(), smoke=Amounts(functions=50, calls_each=10)
)

if __name__ == "__main__":
    run(BENCHMARK, __doc__)
