"""How many calls are accepted: POSTs of 1 KiB to ``/async-function``, both durabilities in turn.

The function holds every call, so that nothing but accepting is measured.
"""

from __future__ import annotations

import click

from benchmarks.harness import Noop, daemon, load, per_call


@click.command()
@click.option("--seconds", default=5.0, help="Of load, each time.")
@click.option("--connections", default=64)
@click.option("--rounds", default=3)
@click.option("--smoke", is_flag=True, help="Only see that it works.")
def main(seconds: float, connections: int, rounds: int, smoke: bool) -> None:
    if smoke:
        seconds, rounds = 1.0, 1
    for _ in range(rounds):
        for durability in ("power", "process"):
            noop = Noop(0)
            config = (
                f'[queue]\ndurability = "{durability}"\n'
                f'[functions.noop]\nurl = "http://127.0.0.1:{noop.port}"\nmax_inflight = 1\n'
                '[worker]\ndrain_timeout = "100ms"\n'
            )
            with daemon(config) as running:
                url = running.url("/async-function/noop")
                load(url, min(seconds, 1.0), connections)
                with running.costs() as costs:
                    seen = load(url, seconds, connections)
                click.echo(
                    f"accept, {durability:7}: {seen.rate:6.0f}/s, p50 {seen.p50:.1f} ms, "
                    f"p99 {seen.p99:.1f} ms; {per_call(costs, seen.requests)}; {running.memory()}"
                )
            noop.stop()


if __name__ == "__main__":
    main()
