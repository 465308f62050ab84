"""With so many calls waiting: how fast more are accepted, what that takes in memory, and after
which time a daemon that is started then has the first of them running. ``--full``: a million.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from benchmarks.accept import expect_stored
from benchmarks.caller import put
from benchmarks.command import Benchmark, run
from benchmarks.daemon import Daemon, Setup, daemon_in, state_directory
from benchmarks.figures import Figures
from benchmarks.harness import Noop
from benchmarks.load import ACCEPTED, load
from benchmarks.processes import a_call

_FULL = 1_000_000

#: Longer than a million calls take to come: one that is given up meanwhile waits no more.
_HELD = "1h"


@dataclass(frozen=True)
class Amounts:
    calls: int = field(default=100_000, metadata={"help": "that wait"})
    full: bool = field(default=False, metadata={"help": "a million of them"})
    connections: int = field(default=64, metadata={"help": "that call at a time"})
    seconds: float = field(default=5.0, metadata={"help": "of load when they wait"})


def measure(amounts: Amounts) -> Iterator[Figures]:
    calls = _FULL if amounts.full else amounts.calls
    what = f"backlog of {calls:,}"
    # Room for the load that comes on top.
    most_waiting = 2 * max(calls, _FULL // 2)
    setup = partial(Setup, max_inflight=1, most_waiting=most_waiting, timeout=_HELD)
    with state_directory() as directory:
        noop = Noop(expected=1)
        with daemon_in(directory, setup(noop.port)) as running:
            yield filled(what, running, calls, amounts)
            yield more_accepted(what, running, amounts)
            stored = running.accepted()
        noop.stop()
        noop = Noop(expected=1)
        with daemon_in(directory, setup(noop.port)) as running:
            yield started_again(what, running, noop, stored)
        noop.stop()


def filled(what: str, running: Daemon, calls: int, amounts: Amounts) -> Figures:
    """So many calls are put; the rate is bounded by the client, which counts them one by one."""
    with running.processes.costs() as costs:
        seen = put(running.port, calls, amounts.connections)
    expect_stored(running, calls)
    return Figures(
        f"{what}, filled",
        rate=seen.rate,
        p50_ms=seen.p50_ms,
        p99_ms=seen.p99_ms,
        cpu_us=a_call(costs, calls),
        memory_mib=running.processes.memory_mib(),
    )


def more_accepted(what: str, running: Daemon, amounts: Amounts) -> Figures:
    """What is accepted while they wait."""
    before = running.accepted()
    with running.processes.costs() as costs:
        seen = load(
            running.port, "/async-function/noop", amounts.seconds, amounts.connections, ACCEPTED
        )
    stored = running.accepted()
    seen.check("were taken", stored - before)
    expect_stored(running, stored)
    return Figures(
        f"{what}, accept",
        rate=seen.rate,
        p50_ms=seen.p50_ms,
        p99_ms=seen.p99_ms,
        cpu_us=a_call(costs, stored - before),
        memory_mib=running.processes.memory_mib(),
    )


def started_again(what: str, running: Daemon, noop: Noop, stored: int) -> Figures:
    """A daemon was started on what waits: when the first call ran, and that none is missing."""
    first_seconds = noop.wait_for("calls") - running.began
    expect_stored(running, stored)
    return Figures(
        f"{what}, start",
        memory_mib=running.processes.memory_mib(),
        times_ms={
            "until ready": running.ready_seconds * 1e3,
            "until the first call runs": first_seconds * 1e3,
        },
    )


BENCHMARK = Benchmark("backlog", measure, usual=Amounts(), smoke=Amounts(calls=1000, seconds=1.0))

A_MILLION = replace(
    BENCHMARK,
    usual=replace(BENCHMARK.usual, full=True),
    smoke=replace(BENCHMARK.smoke, calls=2000),
)

if __name__ == "__main__":
    run(BENCHMARK, __doc__)
