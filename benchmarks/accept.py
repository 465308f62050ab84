"""How many calls are accepted: POSTs of 1 KiB to ``/async-function``, both durabilities in turn.

The function holds its answers, so that nothing but accepting is measured.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.harness import BenchmarkFailed, Noop, daemon, load

DURABILITIES = ("power", "process")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.accept", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of load, each time")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3, help="of both durabilities")
    parser.add_argument("--smoke", action="store_true", help="only see that it works")
    options = parser.parse_args()
    if options.smoke:
        options.seconds, options.rounds = 1.0, 1
    for _ in range(options.rounds):
        for durability in DURABILITIES:
            said = measure(durability, options.seconds, options.connections)
            sys.stdout.write(f"accept, {durability:7}: {said}\n")
            sys.stdout.flush()


def measure(durability: str, seconds: float, connections: int) -> str:
    noop = Noop(expected=1)
    with daemon(noop, max_inflight=1, durability=durability) as running:
        with running.costs() as costs:
            seen = load(running.url("/async-function/noop"), seconds, connections)
        # Each caller may leave one call behind whose 202 it did not wait for.
        stored = running.figure("queue_worker_messages_submitted_total")
        if not seen.requests <= stored <= seen.requests + connections:
            raise BenchmarkFailed(f"{seen.requests} calls were accepted, but {stored} stored")
        said = f"{seen}; {running.summary(costs, stored)}"
    noop.stop()
    return said


if __name__ == "__main__":
    main()
