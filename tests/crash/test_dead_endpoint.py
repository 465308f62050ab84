"""A callback endpoint that is down: its callbacks come once it is back, and others do not wait."""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator
from typing import Any

import pytest_twisted
from function_server import FunctionServer
from installation import PATIENCE_SECONDS, Amount, Install, Installation
from invocations import Invocations
from load import Load
from tables import Tables

#: What a machine that others use, too, may add to the 99th percentile. In a short trial, which is a
#: pause of the machine long, half of what a callback would take that waited for the dead endpoint.
NOISE_MS, SHORT_NOISE_MS = 50, 500


@pytest_twisted.async_yield_fixture
async def endpoints(reactor: Any) -> AsyncIterator[list[FunctionServer]]:
    """Two receivers of callbacks."""
    servers = [FunctionServer(reactor, Invocations(reactor, PATIENCE_SECONDS)) for _ in range(2)]
    for server in servers:
        await server.open()
    yield servers
    for server in servers:
        await server.close()


async def told(installation: Installation, server: FunctionServer, calls: int) -> list[float]:
    """Have so many callbacks delivered there, eight callers at a time.

    :return: for each, how many seconds after its 202 it came.
    """
    load = callers(installation, server)
    await load.push(calls, PATIENCE_SECONDS)
    load.stop()
    await server.invocations.when_run(load.accepted)
    return sorted(
        max(server.invocations.runs[call_id][0].began - at, 0.0)
        for call_id, at in zip(load.accepted, load.accepted_at, strict=True)
    )


def callers(installation: Installation, server: FunctionServer) -> Load:
    fields = (("X-Callback-Url", server.url),)
    return Load(installation.reactor, installation.port, fields=fields, callers=8)


def p99_ms(seconds: list[float]) -> int:
    return round(statistics.quantiles(seconds, n=100)[-1] * 1000)


@pytest_twisted.ensureDeferred
async def test_a_callback_endpoint_is_down_for_a_while(
    install: Install, endpoints: list[FunctionServer], tables: Tables, amount: Amount
) -> None:
    """All of its callbacks arrive afterwards, once each; those to another are as quick as ever."""
    calls, down_seconds = amount(200, 1_000), amount(1, 60)
    dead, alive = endpoints
    installation = await install()
    settings = installation.function_settings()
    if not tables.full:
        settings = "[callback]\nmin_wait = '500ms'\n" + settings
    await installation.up(settings)
    await told(installation, alive, 100)  # the first ones find everything cold
    before = await told(installation, alive, calls)
    await dead.close()
    down_until = installation.reactor.seconds() + down_seconds
    to_the_dead = callers(installation, dead)
    await to_the_dead.push(calls, PATIENCE_SECONDS)
    to_the_dead.stop()
    meanwhile = await told(installation, alive, calls)
    # A minute is a minute: it is what the endpoint does, and others are told for as long.
    while installation.reactor.seconds() < down_until:
        meanwhile += await told(installation, alive, calls)
    await dead.open()
    up_at = installation.reactor.seconds()
    await dead.invocations.when_run(to_the_dead.accepted)
    arrived_after = installation.reactor.seconds() - up_at
    assert await installation.daemon.stop() == 0
    arrivals = [len(dead.invocations.runs.get(call_id, ())) for call_id in to_the_dead.accepted]
    tables.row(
        "A callback endpoint is down",
        {
            "down for": f"{down_seconds} s",
            "callbacks": calls,
            "arrived": sum(map(bool, arrivals)),
            "more than once": sum(number > 1 for number in arrivals),
            "all after": f"{arrived_after:.1f} s",
            "others: p99 before": f"{p99_ms(before)} ms",
            "meanwhile": f"{p99_ms(meanwhile)} ms",
            "told": len(meanwhile),
        },
    )
    assert arrivals == [1] * calls
    noise_ms = NOISE_MS if tables.full else SHORT_NOISE_MS
    assert p99_ms(meanwhile) <= max(2 * p99_ms(before), p99_ms(before) + noise_ms)
