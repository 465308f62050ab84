"""How the classic pair of gateway and queue-worker fails, and that this daemon does not.

What is not here is shown elsewhere: its broker killed under load, and the worker killed or stopped
in the middle of calls, in :mod:`test_kills`; ``%25`` in a path and a password in a callback's URL,
in ``integration/test_gateway.py`` and ``test_calls.py``; a second daemon on one state directory, in
``integration/test_twistd.py``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest_twisted
from function_server import FunctionServer
from installation import MAX_INFLIGHT, PATIENCE_SECONDS, Amount, Install
from invocations import Count, Invocations
from load import Load
from tables import Tables
from twisted.internet.task import deferLater

TITLE = "How the classic pair fails"


#: How long an endpoint keeps silent: several leases.
_SILENT_SECONDS = 3.0


def tell(tables: Tables, trial: str, count: Count, remark: str = "") -> None:
    tables.row(
        TITLE,
        {
            "trial": trial,
            "accepted": count.accepted,
            "lost": count.lost,
            "ran again": count.again,
            "unexcused": count.unexcused,
            "": remark,
        },
    )


@pytest_twisted.ensureDeferred
async def test_the_gateway_is_killed_with_calls_queued(
    install: Install, tables: Tables, amount: Amount
) -> None:
    """The classic worker burns the queue while the gateway is away, and acknowledges it."""
    calls = amount(300, 2000)
    installation = await install()
    installation.function.seconds = lambda: None
    daemon = await installation.up(installation.function_settings())
    await installation.load.push(calls, PATIENCE_SECONDS)
    await installation.invocations.when_begun(MAX_INFLIGHT)
    await installation.kill(daemon.pid)
    installation.function.seconds = lambda: 0.0
    await installation.up()
    count = await installation.settle()
    tell(tables, "the daemon is killed with all of them queued", count)
    assert (count.accepted, count.lost, count.unexcused) == (calls, 0, 0)
    assert count.again <= MAX_INFLIGHT


class Slow(NamedTuple):
    """Calls that take longer than their lease."""

    calls: int
    seconds: float
    ack_wait: str
    max_inflight: int


@pytest_twisted.ensureDeferred
async def test_calls_slower_than_the_ack_wait_run_once(install: Install, tables: Tables) -> None:
    """The classic pair runs them again and again, and never comes to the last of them."""
    slow = [Slow(10, 0.9, "450ms", 10)]
    if tables.full:
        slow = [Slow(10, 3.0, "2s", 1), Slow(1, 12.0, "5s", 1)]
    for trial in slow:
        installation = await install()
        installation.function.seconds = lambda seconds=trial.seconds: seconds  # type: ignore[misc]
        await installation.up(
            f"[worker]\nack_wait = '{trial.ack_wait}'\n[functions.noted]\n"
            f"url = '{installation.function.url}'\nmax_inflight = {trial.max_inflight}\n"
        )
        accepted = await installation.load.push(trial.calls, PATIENCE_SECONDS)
        await installation.invocations.when_run(accepted)
        installation.function.seconds = lambda: 0.0
        count = await installation.settle()
        tell(tables, f"calls of {trial.seconds:g} s, ack wait {trial.ack_wait}", count)
        assert (count.accepted, count.lost, count.again) == (trial.calls, 0, 0)


@pytest_twisted.ensureDeferred
async def test_a_full_queue_refuses_and_drops_nothing(
    install: Install, tables: Tables, amount: Amount
) -> None:
    """The classic channel drops its oldest messages in silence, after a 202 for each."""
    kib, calls = amount(300, 1500), amount(400, 3000)
    installation = await install()
    installation.function.seconds = lambda: None
    settings = f"[queue]\nmax_bytes = '{kib}KiB'\n" + installation.function_settings()
    await installation.up(settings)
    load = installation.load = Load(installation.reactor, installation.port, named=True)
    load.begin()
    await load.when_answered(calls, PATIENCE_SECONDS)
    load.stop()
    refused = load.refused.copy()
    installation.function.release()
    await installation.invocations.when_run(load.accepted)
    again = Load(installation.reactor, installation.port)
    await again.push(100, PATIENCE_SECONDS)
    again.stop()
    await installation.invocations.when_run(again.accepted)
    count = await installation.settle()
    tell(tables, f"the queue is full, {calls} calls", count, f"{refused[503]:,} refused with 503")
    assert refused.keys() == {503}
    assert (count.lost, count.again) == (0, 0)
    assert len(load.never) == refused[503]
    assert load.never.isdisjoint(installation.invocations.runs)


@pytest_twisted.ensureDeferred
async def test_a_callback_endpoint_that_never_answers(
    install: Install, reactor: Any, tables: Tables, amount: Amount
) -> None:
    """The classic queue stands still behind it, and its call runs again and again."""
    calls = amount(100, 1_000)
    installation = await install()
    receivers = [FunctionServer(reactor, Invocations(reactor, PATIENCE_SECONDS)) for _ in range(2)]
    silent, other = receivers
    silent.seconds = lambda: None
    for receiver in receivers:
        await receiver.open()
    settings = "[worker]\nack_wait = '1s'\n[callback]\nmin_wait = '500ms'\n"
    settings += installation.function_settings("callback_timeout = '2s'\n")
    await installation.up(settings)
    loads = [
        Load(reactor, installation.port, fields=(("X-Callback-Url", each.url),), callers=8)
        for each in receivers
    ]
    for load in loads:
        await load.push(calls, PATIENCE_SECONDS)
        load.stop()
    await other.invocations.when_run(loads[1].accepted)
    # Two of its callbacks at least were waited for, and were longer in hand than a lease lasts.
    await silent.invocations.when_begun(2)
    await deferLater(reactor, _SILENT_SECONDS)
    silent.release()
    await silent.invocations.when_run(loads[0].accepted)
    invocations = installation.invocations
    count = invocations.count([*loads[0].accepted, *loads[1].accepted])
    told = silent.invocations.count(loads[0].accepted)
    assert await installation.daemon.stop() == 0
    for receiver in receivers:
        await receiver.close()
    tell(tables, "a callback endpoint never answers, then does", count)
    assert (count.accepted, count.lost, count.again) == (2 * calls, 0, 0)
    assert told.lost == 0
