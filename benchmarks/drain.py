"""How fast waiting calls are run: so many are accepted while the function holds its answers, and
then it lets go. With ``--callbacks`` the answer of each is delivered, too.
"""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks.harness import BenchmarkFailed, Daemon, Noop, daemon, put


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.drain", description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=64, help="to put the calls with")
    parser.add_argument("--max-inflight", type=int, default=100, help="calls at a time")
    parser.add_argument("--callbacks", action="store_true", help="deliver each answer")
    parser.add_argument("--smoke", action="store_true", help="only see that it works")
    options = parser.parse_args()
    if options.smoke:
        options.calls = 500
    noop = Noop(options.calls)
    callback_url = f"http://127.0.0.1:{noop.port}/callback" if options.callbacks else None
    with daemon(noop, options.max_inflight) as running:
        put(running, options.calls, options.connections, callback_url)
        with running.costs() as costs:
            began = noop.release()
            noop.wait_for("calls", *(["callbacks"] if options.callbacks else []))
            wait_until_ended(running, options.calls)
            seconds = time.monotonic() - began
        said = running.summary(costs, options.calls)
    expected = (options.calls, options.calls if options.callbacks else 0)
    came = noop.stop()
    if came != expected:
        raise BenchmarkFailed(f"{expected} calls and callbacks were due, {came} came")
    sys.stdout.write(
        f"drain{', callbacks' if options.callbacks else ''}: {options.calls:,} calls in"
        f" {seconds:.2f} s, {options.calls / seconds:,.0f}/s; {said}\n"
    )


def wait_until_ended(running: Daemon, calls: int) -> None:
    """Wait until the end of every call is written down.

    The last of them is running by now: it is a matter of moments.
    """
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if running.figure("queue_worker_messages_processed_total") == calls:
            return
        time.sleep(0.02)
    raise BenchmarkFailed("not every call came to its end")


if __name__ == "__main__":
    main()
