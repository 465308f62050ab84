"""What callers who want to know more cost those who do not: plain calls by themselves, and beside
many calls that are put off, of which some are waited for and some are listened to. In turn, for a
machine is not the same from one second to the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.command import Benchmark, run
from benchmarks.daemon import Daemon, Setup, daemon
from benchmarks.figures import Figures
from benchmarks.harness import BenchmarkFailed, Noop
from benchmarks.slow_clients import Streams, connect, loaded


@dataclass(frozen=True)
class Amounts:
    seconds: float = field(default=5.0, metadata={"help": "of load, without and with them"})
    connections: int = field(default=64, metadata={"help": "that make the load"})
    put_off: int = field(default=1000, metadata={"help": "calls that are put off"})
    pollers: int = field(default=200, metadata={"help": "clients that wait for one of them each"})
    listeners: int = field(default=50, metadata={"help": "clients that listen to one each"})


def measure(amounts: Amounts) -> Iterator[Figures]:
    noop = Noop(expected=1)
    with daemon(Setup(noop.port, max_inflight=1)) as running:
        yield loaded("accept, nobody asks", running, amounts.seconds, amounts.connections)
        yield asyncio.run(_beside_callers_who_ask(running, amounts))
        yield loaded("accept, nobody asks any more", running, amounts.seconds, amounts.connections)
    noop.stop()


async def _beside_callers_who_ask(running: Daemon, amounts: Amounts) -> Figures:
    caller = await connect(running.port)
    calls = [await _put_off(caller) for _ in range(amounts.put_off)]
    results = [f"{call}/result?wait=300s" for call in calls[: amounts.pollers]]
    events = [f"{call}/events" for call in calls[-amounts.listeners :]]
    asking = [await _ask(running.port, target) for target in results + events]
    for reader, _ in asking[amounts.pollers :]:
        await reader.readuntil(b"event: scheduled")
    what = (
        f"accept, {amounts.put_off:,} put off, {amounts.pollers} wait, {amounts.listeners} listen"
    )
    figures = await asyncio.to_thread(loaded, what, running, amounts.seconds, amounts.connections)
    if any(reader.at_eof() for reader, _ in asking):
        raise BenchmarkFailed("somebody who asked was let go of")
    for _, writer in (caller, *asking):
        writer.close()
    return figures


async def _put_off(streams: Streams) -> str:
    """:return: where the call can be asked after."""
    reader, writer = streams
    writer.write(
        b"POST /async-function/noop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
        b"X-Delay: 1h\r\n\r\n"
    )
    answer = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
    _, found, rest = answer.partition("Location: ")
    if not found:
        raise BenchmarkFailed(answer)
    return rest.partition("\r\n")[0]


async def _ask(port: int, target: str) -> Streams:
    streams = await connect(port)
    streams[1].write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("ascii"))
    return streams


BENCHMARK = Benchmark(
    "callers_who_ask",
    measure,
    usual=Amounts(),
    smoke=Amounts(seconds=1.0, put_off=50, pollers=20, listeners=5),
)

if __name__ == "__main__":
    run(BENCHMARK, __doc__)
