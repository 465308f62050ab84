"""What clients that are slow cost those that are not: a load by itself, and the same beside many
connections that idle after a call and some whose next call trickles in, a byte at a time.

All of them are alive when the load is over, and get their answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.caller import request_bytes
from benchmarks.command import Benchmark, run
from benchmarks.daemon import Daemon, Setup, daemon
from benchmarks.figures import Figures
from benchmarks.harness import BenchmarkFailed, Noop
from benchmarks.load import ACCEPTED, load
from benchmarks.processes import a_call

_REQUEST = request_bytes("noop")
_HEAD_BYTES = _REQUEST.index(b"\r\n\r\n") + 4

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Amounts:
    seconds: float = field(default=5.0, metadata={"help": "of load, without and with them"})
    connections: int = field(default=64, metadata={"help": "that make the load"})
    idle: int = field(default=1000, metadata={"help": "connections that idle"})
    trickling: int = field(default=200, metadata={"help": "connections whose call trickles in"})
    byte_seconds: float = field(default=0.5, metadata={"help": "between two bytes of such a call"})


class SlowClients:
    """Connections that take their time.

    Half of those that trickle are at their head, the others at their body.
    """

    def __init__(self, idle: list[Streams], trickling: list[Streams]) -> None:
        self._idle = idle
        self._trickling = trickling
        self._sent = [1 if number % 2 else _HEAD_BYTES for number in range(len(trickling))]
        for (_, writer), sent in zip(trickling, self._sent, strict=True):
            writer.write(_REQUEST[:sent])

    async def trickle(self, byte_seconds: float) -> None:
        """Send on and on, spread evenly: never does one wait for all."""
        while True:
            for number, (_, writer) in enumerate(self._trickling):
                await asyncio.sleep(byte_seconds / len(self._trickling))
                sent = self._sent[number]
                # The last byte is kept for the end.
                if sent < len(_REQUEST) - 1:
                    writer.write(_REQUEST[sent : sent + 1])
                    self._sent[number] += 1

    async def end(self) -> int:
        """Finish every call, and make one more on each that idled; returns how many these are.

        :raises BenchmarkFailed: one was not accepted.
        """
        for (_, writer), sent in zip(self._trickling, self._sent, strict=True):
            writer.write(_REQUEST[sent:])
        for _, writer in self._idle:
            writer.write(_REQUEST)
        for reader, writer in (*self._trickling, *self._idle):
            await accepted(reader)
            writer.close()
        return len(self._trickling) + len(self._idle)


async def accepted(reader: asyncio.StreamReader) -> None:
    """
    :raises BenchmarkFailed: what comes is no 202.
    """
    try:
        answer = await reader.readuntil(b"\r\n\r\n")
    except (OSError, EOFError) as reason:
        raise BenchmarkFailed(f"a slow client was cut: {reason}") from reason
    if not answer.startswith(b"HTTP/1.1 202 "):
        raise BenchmarkFailed(f"a slow client was answered:\n{answer.decode()}")


def measure(amounts: Amounts) -> Iterator[Figures]:
    noop = Noop(expected=1)
    with daemon(Setup(noop.port, max_inflight=1)) as running:
        yield loaded("accept, no slow clients", running, amounts.seconds, amounts.connections)
        yield asyncio.run(beside_slow_clients(running, amounts))
    noop.stop()


def loaded(what: str, running: Daemon, seconds: float, connections: int) -> Figures:
    """Plain calls, and what each of them takes."""
    before = running.accepted()
    with running.processes.costs() as costs:
        seen = load(running.port, "/async-function/noop", seconds, connections, ACCEPTED)
    calls = running.accepted() - before
    seen.check("were taken", calls)
    return Figures(
        what,
        rate=seen.rate,
        p50_ms=seen.p50_ms,
        p99_ms=seen.p99_ms,
        cpu_us=a_call(costs, calls),
        memory_mib=running.processes.memory_mib(),
    )


async def beside_slow_clients(running: Daemon, amounts: Amounts) -> Figures:
    idle = [await connect(running.port) for _ in range(amounts.idle)]
    for reader, writer in idle:
        writer.write(_REQUEST)
        await accepted(reader)
    slow = SlowClients(idle, [await connect(running.port) for _ in range(amounts.trickling)])
    trickling = asyncio.create_task(slow.trickle(amounts.byte_seconds))
    what = f"accept, {amounts.idle:,} idle and {amounts.trickling} trickling"
    figures = await asyncio.to_thread(loaded, what, running, amounts.seconds, amounts.connections)
    trickling.cancel()
    before = running.accepted()
    ended = await slow.end()
    taken = running.accepted() - before
    if taken != ended:
        raise BenchmarkFailed(f"{ended} calls of slow clients were answered, {taken} were taken")
    return figures


async def connect(port: int) -> Streams:
    return await asyncio.open_connection("127.0.0.1", port)


BENCHMARK = Benchmark(
    "slow_clients", measure, usual=Amounts(), smoke=Amounts(seconds=1.0, idle=50, trickling=20)
)

if __name__ == "__main__":
    run(BENCHMARK, __doc__)
