"""What a call of a function behind a URL costs this side: CPU µs for each, by client.

Each client makes the same calls, POSTs of 1 KiB with small replies, to a function that does nothing
and is a process of its own. They take turns, so that whatever else the machine does is shared out
fairly; what is told is each one's median round.
"""

from __future__ import annotations

import argparse
import resource
import sys
from collections.abc import Callable
from io import BytesIO
from statistics import median
from typing import Any, Protocol
from urllib.parse import urlsplit

import treq
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool
from twisted.web.http_headers import Headers

from benchmarks.harness import BODY, BenchmarkFailed, Noop
from faasd_async.http.endpoint import host_endpoint
from faasd_async.http.errors import ExchangeError
from faasd_async.http.exchange import Exchange
from faasd_async.http.pool import Pool
from faasd_async.http.request import write_head
from faasd_async.runtime.collect import gather
from faasd_async.runtime.interface import Invocation
from faasd_async.runtime.upstream import Upstream
from faasd_async.wheel import Wheel

FIELDS = (
    (b"Content-Type", b"text/plain"),
    (b"X-Call-Id", b"6b0a3c1e-0b0e-4b7e-9d5c-0a3c1e0b0e4b"),
    (b"X-Start-Time", b"1700000000000000000"),
    (b"X-Attempt", b"1"),
)
LIMIT_SECONDS = 60.0


class Client(Protocol):
    def make(self, calls: int, at_once: int) -> Deferred[None]:
        """Make so many calls."""

    def stop(self) -> Deferred[None]: ...


class OwnExchange(Exchange):
    """A call that counts, and makes the next one."""

    __slots__ = ("body_bytes", "over_with")

    over_with: Callable[[OwnExchange], None]

    def replied(self, status: int, fields: list[tuple[bytes, bytes]]) -> None:
        self.body_bytes = 0

    def received(self, piece: bytes) -> None:
        self.body_bytes += len(piece)

    def ended(self) -> None:
        self.over_with(self)

    def failed(self, reason: ExchangeError) -> None:
        raise BenchmarkFailed(str(reason))


class OwnClient:
    """``http``: the pool and nothing else."""

    def __init__(self, reactor: Any, url: str, at_once: int) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._authority = parts.netloc.encode("ascii")
        self._pool = Pool(
            reactor,
            Wheel(reactor),
            host_endpoint(reactor, parts.hostname, parts.port or 80),
            max_connections=at_once,
            connect_timeout_seconds=LIMIT_SECONDS,
            idle_seconds=1.0,
        )

    def make(self, calls: int, at_once: int) -> Deferred[None]:
        self._left = calls - at_once
        self._open = calls
        self._made: Deferred[None] = Deferred()
        for _ in range(at_once):
            self._call()
        return self._made

    def _call(self) -> None:
        length = (b"Content-Length", b"%d" % len(BODY))
        head = write_head(b"POST", b"/", ((b"Host", self._authority), *FIELDS, length))
        exchange = OwnExchange(b"POST", head, BODY)
        exchange.over_with = self._over
        self._pool.send(exchange)

    def _over(self, exchange: OwnExchange) -> None:
        assert exchange.body_bytes == 2
        self._open -= 1
        if self._left:
            self._left -= 1
            self._call()
        elif not self._open:
            self._made.callback(None)

    def stop(self) -> Deferred[None]:
        return self._pool.close()


class CallerClient:
    """Callers that each make one call after the other."""

    async def call(self) -> bytes:
        raise NotImplementedError

    def make(self, calls: int, at_once: int) -> Deferred[None]:
        return Deferred.fromCoroutine(self._make(calls, at_once))

    async def _make(self, calls: int, at_once: int) -> None:
        left = iter(range(calls))
        callers = [Deferred.fromCoroutine(self._caller(left)) for _ in range(at_once)]
        for each in callers:
            await each

    async def _caller(self, left: Any) -> None:
        for _ in left:
            assert len(await self.call()) == 2


class RuntimeClient(CallerClient):
    """``runtime``: what the worker does, deadline and gathering included."""

    def __init__(self, reactor: Any, url: str, at_once: int) -> None:
        self._upstream = Upstream(
            reactor, "noop", url, max_inflight=at_once, connect_timeout_seconds=LIMIT_SECONDS
        )

    async def call(self) -> bytes:
        invocation = Invocation("noop", "a-call", b"POST", b"/", FIELDS, BODY)
        body = await gather(await self._upstream.invoke(invocation, LIMIT_SECONDS), 2**20)
        assert isinstance(body, bytes)
        return body

    def stop(self) -> Deferred[None]:
        return self._upstream.stop()


class AgentClient(CallerClient):
    """``agent``: Twisted's, with a pool."""

    def __init__(self, reactor: Any, url: str, at_once: int) -> None:
        self._url = url.encode("ascii")
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = at_once
        self._pool._factory.noisy = False
        self._agent = Agent(reactor, pool=self._pool)
        self._fields = Headers()
        for name, value in FIELDS:
            self._fields.addRawHeader(name, value)

    async def call(self) -> bytes:
        body = FileBodyProducer(BytesIO(BODY))
        reply = await self._agent.request(b"POST", self._url, self._fields, body)
        pieces: list[bytes] = []
        await treq.collect(reply, pieces.append)
        return b"".join(pieces)

    def stop(self) -> Deferred[None]:
        closed: Deferred[None] = self._pool.closeCachedConnections()
        return closed


class TreqClient(AgentClient):
    """``treq``: on the same Agent."""

    async def call(self) -> bytes:
        reply = await treq.post(self._url.decode(), BODY, headers=self._fields, agent=self._agent)
        whole: bytes = await treq.content(reply)
        return whole


CLIENTS: dict[str, Callable[[Any, str, int], Client]] = {
    "http": OwnClient,
    "runtime": RuntimeClient,
    "agent": AgentClient,
    "treq": TreqClient,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.client", description=__doc__)
    parser.add_argument("--calls", type=int, default=4000, help="of each client, each round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--only", choices=CLIENTS, action="append", help="these clients alone")
    parser.add_argument("--smoke", action="store_true", help="only see that it works")
    options = parser.parse_args()
    if options.smoke:
        options.calls, options.rounds = 200, 1
    noop = Noop(expected=1)
    noop.release()
    react(lambda reactor: Deferred.fromCoroutine(measure(reactor, noop, options)))


async def measure(reactor: Any, noop: Noop, options: argparse.Namespace) -> None:
    url = f"http://127.0.0.1:{noop.port}/"
    names = options.only or list(CLIENTS)
    clients = {name: CLIENTS[name](reactor, url, options.at_once) for name in names}
    costs: dict[str, list[float]] = {name: [] for name in names}
    for each in clients.values():
        await each.make(options.at_once, options.at_once)
    for _ in range(options.rounds):
        for name, client in clients.items():
            began = _cpu_seconds()
            await client.make(options.calls, options.at_once)
            costs[name].append((_cpu_seconds() - began) / options.calls * 1e6)
    for each in clients.values():
        await each.stop()
    came, _ = noop.stop()
    if came != len(names) * (options.at_once + options.rounds * options.calls):
        raise BenchmarkFailed(f"{came} calls came")
    for name in names:
        low, high = min(costs[name]), max(costs[name])
        sys.stdout.write(
            f"{name:8} {median(costs[name]):6.1f} µs CPU a call (from {low:.1f} to {high:.1f})\n"
        )


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
