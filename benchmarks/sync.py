"""How many calls are passed straight through: POSTs of 1 KiB and GETs to ``/function``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.command import Benchmark, run
from benchmarks.daemon import Setup, daemon
from benchmarks.figures import Figures
from benchmarks.harness import BenchmarkFailed, Noop
from benchmarks.load import REPLIED, load
from benchmarks.processes import a_call


@dataclass(frozen=True)
class Amounts:
    seconds: float = field(default=5.0, metadata={"help": "of load, for each method"})
    connections: int = field(default=64, metadata={"help": "that call at a time"})


def measure(amounts: Amounts) -> Iterator[Figures]:
    noop = Noop(expected=1)
    noop.release()
    answered = 0
    # A caller that finds no room is refused, and the last round's may not be gone yet.
    with daemon(Setup(noop.port, max_inflight=2 * amounts.connections)) as running:
        for method in ("POST", "GET"):
            with running.processes.costs() as costs:
                seen = load(
                    running.port,
                    "/function/noop",
                    amounts.seconds,
                    amounts.connections,
                    REPLIED,
                    method,
                )
            answered += seen.answered
            yield Figures(
                f"sync, {method}",
                rate=seen.rate,
                p50_ms=seen.p50_ms,
                p99_ms=seen.p99_ms,
                cpu_us=a_call(costs, seen.answered),
                memory_mib=running.processes.memory_mib(),
            )
    came, _ = noop.stop()
    if not answered <= came <= answered + 2 * amounts.connections:
        raise BenchmarkFailed(f"{answered} calls were answered, but {came} came")


BENCHMARK = Benchmark("sync", measure, usual=Amounts(), smoke=Amounts(seconds=1.0))

if __name__ == "__main__":
    run(BENCHMARK, __doc__)
