"""How soon clients that wait for their calls hear of the end: so many wait for a result each, some
more listen to events, all at once. The function answers one call after the other, at even
distances. Told is the time from the function's answer until the client has its own: the end is
written down, flushed and told meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httptools

from benchmarks.command import Benchmark, run
from benchmarks.daemon import Daemon, Setup, daemon
from benchmarks.figures import Figures, percentile
from benchmarks.harness import BenchmarkFailed
from benchmarks.processes import a_call

_LONGEST_SECONDS = 60.0


@dataclass(frozen=True)
class Amounts:
    pollers: int = field(default=200, metadata={"help": "clients, each of which waits for a call"})
    listeners: int = field(default=50, metadata={"help": "clients that listen to events besides"})
    a_second: int = field(default=50, metadata={"help": "calls that are answered"})


class Function(asyncio.Protocol):
    """One connection to the function, which answers when it is told to."""

    def __init__(self, waiting: dict[bytes, Function]) -> None:
        self._waiting = waiting
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-call-id":
            self._waiting[value] = self

    def answer(self) -> float:
        """:return: when that was, on the monotonic clock."""
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return time.monotonic()


async def exchange(port: int, head: str, until: bytes) -> tuple[bytes, float]:
    """One request on a connection of its own.

    :return: the answer up to *until*, and when it had come.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
    try:
        answer = await asyncio.wait_for(reader.readuntil(until), _LONGEST_SECONDS)
    except (TimeoutError, asyncio.IncompleteReadError) as reason:
        raise BenchmarkFailed(f"{head}: {reason!r}") from reason
    finally:
        writer.close()
    return answer, time.monotonic()


async def accept(port: int) -> bytes:
    """:return: the call's id."""
    answer, _ = await exchange(port, "POST /async-function/noop", b"\r\n\r\n")
    found = answer.partition(b"X-Call-Id: ")[2].partition(b"\r\n")[0]
    if not found:
        raise BenchmarkFailed(answer.decode())
    return found


def measure(amounts: Amounts) -> Iterator[Figures]:
    return iter(asyncio.run(_measure(amounts)))


async def _measure(amounts: Amounts) -> list[Figures]:
    waiting: dict[bytes, Function] = {}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Function(waiting), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    setup = Setup(port, max_inflight=amounts.pollers, keep="1h")
    opened = daemon(setup)
    running = await asyncio.to_thread(opened.__enter__)
    try:
        return await _wait(running, waiting, amounts)
    finally:
        await asyncio.to_thread(opened.__exit__, None, None, None)
        server.close()


async def _wait(running: Daemon, waiting: dict[bytes, Function], amounts: Amounts) -> list[Figures]:
    ids = [await accept(running.port) for _ in range(amounts.pollers)]
    while len(waiting) < amounts.pollers:
        await asyncio.sleep(0.01)
    listened = ids[: amounts.listeners]
    polls = {
        each: asyncio.create_task(
            exchange(running.port, f"GET /call/{each.decode()}/result?wait=60s", b"ok")
        )
        for each in ids
    }
    events = {
        each: asyncio.create_task(
            exchange(running.port, f"GET /call/{each.decode()}/events", b"event: succeeded")
        )
        for each in listened
    }
    await asyncio.sleep(2.0)
    answered: dict[bytes, float] = {}
    with running.processes.costs() as costs:
        for each in ids:
            answered[each] = waiting[each].answer()
            await asyncio.sleep(1 / amounts.a_second)
        ends = {
            f"{len(polls)} wait for results": [
                (await poll)[1] - answered[each] for each, poll in polls.items()
            ],
            f"{len(events)} listen to events": [
                (await event)[1] - answered[each] for each, event in events.items()
            ],
        }
    memory = running.processes.memory_mib()
    return [
        Figures(
            what,
            p50_ms=percentile(seconds, 0.5) * 1e3,
            p99_ms=percentile(seconds, 0.99) * 1e3,
            times_ms={"at most": max(seconds) * 1e3},
            cpu_us=a_call(costs, amounts.pollers),
            memory_mib=memory,
        )
        for what, seconds in ends.items()
        if seconds
    ]


BENCHMARK = Benchmark(
    "waiters",
    measure,
    usual=Amounts(),
    smoke=Amounts(pollers=20, listeners=5),
    against_floor=False,
)

if __name__ == "__main__":
    run(BENCHMARK, __doc__)
