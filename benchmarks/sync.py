"""How many calls are passed straight through: POSTs of 1 KiB and GETs to ``/function``."""

from __future__ import annotations

import argparse
import sys

from benchmarks.harness import BenchmarkFailed, Noop, daemon, load


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.sync", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of load, each time")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--smoke", action="store_true", help="only see that it works")
    options = parser.parse_args()
    if options.smoke:
        options.seconds = 1.0
    noop = Noop(expected=1)
    noop.release()
    passed = 0
    # A caller that finds no room is refused, and the last round's may not be gone yet.
    with daemon(noop, max_inflight=2 * options.connections) as running:
        for method in ("POST", "GET"):
            with running.costs() as costs:
                seen = load(
                    running.url("/function/noop"), options.seconds, options.connections, method
                )
            passed += seen.requests
            sys.stdout.write(f"sync, {method:4}: {seen}; {running.summary(costs, seen.requests)}\n")
            sys.stdout.flush()
    came, _ = noop.stop()
    if came < passed:
        raise BenchmarkFailed(f"{passed} calls were answered, but only {came} came")


if __name__ == "__main__":
    main()
