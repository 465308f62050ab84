"""Accepting and running at once: as many calls as there can be, to a function that answers at once.

Measured is the time from the first call until the end of the last one is written down.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.command import Benchmark, run
from benchmarks.daemon import Setup, daemon
from benchmarks.figures import Figures
from benchmarks.harness import BenchmarkFailed, Noop
from benchmarks.load import ACCEPTED, load
from benchmarks.processes import a_call


@dataclass(frozen=True)
class Amounts:
    seconds: float = field(default=5.0, metadata={"help": "of load"})
    connections: int = field(default=64, metadata={"help": "that call at a time"})
    max_inflight: int = field(default=100, metadata={"help": "calls at a time"})


def measure(amounts: Amounts) -> Iterator[Figures]:
    noop = Noop(expected=1, distinct=True)
    noop.release()
    with daemon(Setup(noop.port, amounts.max_inflight)) as running:
        began = time.monotonic()
        with running.processes.costs() as costs:
            seen = load(
                running.port, "/async-function/noop", amounts.seconds, amounts.connections, ACCEPTED
            )
            ended, until = running.wait_until_ended(seen.answered)
        seen.check("ran", ended)
        memory = running.processes.memory_mib()
    came, _ = noop.stop()
    if came != ended:
        raise BenchmarkFailed(f"{ended} calls succeeded, but {came} ran")
    seconds = until - began
    yield Figures(
        "together",
        rate=ended / seconds,
        p50_ms=seen.p50_ms,
        p99_ms=seen.p99_ms,
        cpu_us=a_call(costs, ended),
        memory_mib=memory,
        times_ms={"from the last 202 to the last end": (seconds - amounts.seconds) * 1e3},
    )


BENCHMARK = Benchmark("together", measure, usual=Amounts(), smoke=Amounts(seconds=1.0))

if __name__ == "__main__":
    run(BENCHMARK, __doc__)
