"""How fast waiting calls are run: so many are accepted while the function holds its answers, and
then it lets go. With ``--callbacks`` the answer of each is delivered, too; with ``--results`` it
is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from benchmarks.caller import put
from benchmarks.command import Benchmark, run
from benchmarks.daemon import Setup, daemon
from benchmarks.figures import Figures
from benchmarks.harness import BenchmarkFailed, Noop
from benchmarks.processes import a_call


@dataclass(frozen=True)
class Amounts:
    calls: int = field(default=10_000, metadata={"help": "that wait"})
    connections: int = field(default=64, metadata={"help": "to put the calls with"})
    max_inflight: int = field(default=100, metadata={"help": "calls at a time"})
    callbacks: bool = field(default=False, metadata={"help": "deliver each answer"})
    results: bool = field(default=False, metadata={"help": "keep each answer, as is the default"})


def measure(amounts: Amounts) -> Iterator[Figures]:
    noop = Noop(amounts.calls, distinct=True)
    callback_url = f"http://127.0.0.1:{noop.port}/callback" if amounts.callbacks else None
    keep = "24h" if amounts.results else "0s"
    with daemon(Setup(noop.port, amounts.max_inflight, keep=keep)) as running:
        put(running.port, amounts.calls, amounts.connections, callback_url=callback_url)
        with running.processes.costs() as costs:
            began = noop.release()
            noop.wait_for("calls", *(["callbacks"] if amounts.callbacks else []))
            ended, until = running.wait_until_ended(amounts.calls)
        memory = running.processes.memory_mib()
    expected = (amounts.calls, amounts.calls, amounts.calls if amounts.callbacks else 0)
    seen = (ended, *noop.stop())
    if seen != expected:
        raise BenchmarkFailed(f"ends, calls and callbacks: {expected} were due, {seen} came")
    yield Figures(
        f"drain{', callbacks' * amounts.callbacks}{', results kept' * amounts.results}",
        rate=amounts.calls / (until - began),
        cpu_us=a_call(costs, amounts.calls),
        memory_mib=memory,
    )


BENCHMARK = Benchmark("drain", measure, usual=Amounts(), smoke=Amounts(calls=500))

WITH_CALLBACKS = replace(
    BENCHMARK,
    usual=replace(BENCHMARK.usual, callbacks=True),
    smoke=replace(BENCHMARK.smoke, callbacks=True),
)

WITH_RESULTS = replace(
    BENCHMARK,
    usual=replace(BENCHMARK.usual, results=True),
    smoke=replace(BENCHMARK.smoke, results=True),
)

if __name__ == "__main__":
    run(BENCHMARK, __doc__)
