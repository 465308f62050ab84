"""How many calls are accepted: POSTs of 1 KiB to ``/async-function``, both durabilities in turn.

The function holds its answers, so that nothing but accepting is measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.command import Benchmark, run
from benchmarks.daemon import ON_DISK, Daemon, Setup, daemon
from benchmarks.disk import flushes
from benchmarks.figures import Figures
from benchmarks.harness import BenchmarkFailed, Noop
from benchmarks.load import ACCEPTED, Load, load
from benchmarks.processes import a_call


@dataclass(frozen=True)
class Amounts:
    seconds: float = field(default=5.0, metadata={"help": "of load, for each durability"})
    connections: int = field(default=64, metadata={"help": "that call at a time"})
    lean: bool = field(default=False, metadata={"help": "the reactor without log contexts"})


def measure(amounts: Amounts) -> Iterator[Figures]:
    for durability in ("power", "process"):
        yield measure_one(durability, amounts)


def measure_one(durability: str, amounts: Amounts) -> Figures:
    noop = Noop(expected=1)
    with daemon(
        Setup(noop.port, max_inflight=1, durability=durability, lean=amounts.lean)
    ) as running:
        flushed = flushes(ON_DISK)
        with running.processes.costs() as costs:
            seen = load(
                running.port, "/async-function/noop", amounts.seconds, amounts.connections, ACCEPTED
            )
        if durability == "power":
            expect_flushes(flushed, flushes(ON_DISK), seen)
        stored = running.accepted()
        seen.check("were taken", stored)
        seen.check(
            "are stored", running.figure("faasd_async_stream_messages", 'stream="FAAS_CALLS"')
        )
        memory = running.processes.memory_mib()
    noop.stop()
    return Figures(
        f"accept, {durability}",
        rate=seen.rate,
        p50_ms=seen.p50_ms,
        p99_ms=seen.p99_ms,
        cpu_us=a_call(costs, stored),
        memory_mib=memory,
    )


def expect_stored(running: Daemon, calls: int) -> None:
    """
    :raises BenchmarkFailed: the broker has another number of calls.
    """
    stored = running.figure("faasd_async_stream_messages", 'stream="FAAS_CALLS"')
    if stored != calls:
        raise BenchmarkFailed(f"{calls} calls were accepted, {stored} are stored")


def expect_flushes(before: int | None, after: int | None, seen: Load) -> None:
    """A caller makes one call at a time, so a flush promises no more calls than there are callers.

    :raises BenchmarkFailed: the disk was flushed more seldom.
    """
    if before is None or after is None:
        return
    if (after - before) * seen.connections < seen.answered:
        raise BenchmarkFailed(
            f"{seen.connections} callers were promised {seen.answered} calls with"
            f" {after - before} flushes of the disk"
        )


BENCHMARK = Benchmark("accept", measure, usual=Amounts(), smoke=Amounts(seconds=1.0))

if __name__ == "__main__":
    run(BENCHMARK, __doc__)
