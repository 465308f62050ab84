"""How fast waiting calls are run: so many are accepted while the function holds its answers, and
then it lets go. With ``--callbacks`` each outcome is delivered, too.
"""

from __future__ import annotations

import http.client

import click

from benchmarks.harness import Daemon, Noop, daemon, per_call

_BODY = b"x" * 1024


@click.command()
@click.option("--calls", default=10_000)
@click.option("--max-inflight", default=100)
@click.option("--callbacks", is_flag=True)
@click.option("--smoke", is_flag=True, help="Only see that it works.")
def main(calls: int, max_inflight: int, callbacks: bool, smoke: bool) -> None:
    if smoke:
        calls = 500
    noop = Noop(calls)
    config = (
        f"[worker]\nmax_inflight = {max_inflight}\n[callback]\nmax_inflight = {max_inflight}\n"
        f'[functions.noop]\nurl = "http://127.0.0.1:{noop.port}"\nmax_inflight = {max_inflight}\n'
    )
    with daemon(config) as running:
        push(running, calls, f"http://127.0.0.1:{noop.port}/callback" if callbacks else None)
        with running.costs() as costs:
            began = noop.release()
            at, came, _ = noop.wait()
            if callbacks:
                at, _, came = noop.wait()
        assert came == calls, f"{came} of {calls} came"
        what = "drain with callbacks" if callbacks else "drain"
        click.echo(
            f"{what}: {calls} calls in {at - began:.2f} s, {calls / (at - began):.0f}/s; "
            f"{per_call(costs, calls)}; {running.memory()}"
        )
    noop.stop()


def push(running: Daemon, calls: int, callback_url: str | None) -> None:
    """Have so many calls accepted, one after the other on one connection."""
    headers = {"X-Callback-Url": callback_url} if callback_url else {}
    connection = http.client.HTTPConnection("127.0.0.1", running.port)
    for _ in range(calls):
        connection.request("POST", "/async-function/noop", _BODY, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 202, answer.status
    connection.close()


if __name__ == "__main__":
    main()
