"""How many calls are passed straight through: POSTs of 1 KiB and GETs to ``/function``."""

from __future__ import annotations

import click

from benchmarks.harness import Noop, daemon, load, per_call


@click.command()
@click.option("--seconds", default=5.0, help="Of load, each time.")
@click.option("--connections", default=64)
@click.option("--smoke", is_flag=True, help="Only see that it works.")
def main(seconds: float, connections: int, smoke: bool) -> None:
    if smoke:
        seconds = 1.0
    noop = Noop(0)
    noop.release()
    config = (
        f'[functions.noop]\nurl = "http://127.0.0.1:{noop.port}"\nmax_inflight = {connections}\n'
    )
    with daemon(config) as running:
        url = running.url("/function/noop")
        for post in (True, False):
            with running.costs() as costs:
                seen = load(url, seconds, connections, post=post)
            click.echo(
                f"sync {'POST' if post else 'GET '}: {seen.rate:6.0f}/s, p50 {seen.p50:.1f} ms, "
                f"p99 {seen.p99:.1f} ms; {per_call(costs, seen.requests)}; {running.memory()}"
            )
    noop.stop()


if __name__ == "__main__":
    main()
