"""How long a start takes, from the spawn until ``/readyz`` says 200, and what an idle daemon holds.

First on an empty state directory, then on what that one left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.command import Benchmark, run
from benchmarks.daemon import Setup, daemon_in, state_directory
from benchmarks.figures import Figures
from benchmarks.harness import Noop


@dataclass(frozen=True)
class Amounts:
    again: int = field(default=2, metadata={"help": "starts on what the first one left"})


def measure(amounts: Amounts) -> Iterator[Figures]:
    noop = Noop(expected=1)
    setup = Setup(noop.port, max_inflight=100)
    with state_directory() as directory:
        for what in ("start, new", *("start, again" for _ in range(amounts.again))):
            with daemon_in(directory, setup) as running:
                cpu_seconds = running.processes.cpu_seconds()
                yield Figures(
                    what,
                    memory_mib=running.processes.memory_mib(),
                    times_ms={
                        "until ready": running.ready_seconds * 1e3,
                        **{f"CPU time of {name}": s * 1e3 for name, s in cpu_seconds.items()},
                    },
                )
    noop.stop()


BENCHMARK = Benchmark(
    "start", measure, usual=Amounts(), smoke=Amounts(again=1), against_floor=False
)

if __name__ == "__main__":
    run(BENCHMARK, __doc__)
