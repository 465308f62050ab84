"""Large bodies: so many uploads, some at a time, each of another body, to a function that hashes
what it is given. Told is how long an upload takes until its 202, and the most memory that the
daemon ever took. It fails if the function is given anything else than what was sent, or if anything
of the bodies is left in the store at the end.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from benchmarks.command import Benchmark, run
from benchmarks.daemon import Daemon, Setup, daemon
from benchmarks.figures import Figures, percentile
from benchmarks.harness import BenchmarkFailed
from benchmarks.processes import a_call

_MIB = 2**20
_LONGEST_SECONDS = 120.0
_CALLS = 'stream="FAAS_CALLS"'


@dataclass(frozen=True)
class Amounts:
    uploads: int = field(default=100, metadata={"help": "calls, each with a body of its own"})
    size_mib: int = field(default=32, metadata={"help": "the size of each body"})
    at_once: int = field(default=8, metadata={"help": "uploads at a time"})
    memory_mib: int = field(default=250, metadata={"help": "what the daemon may take at most"})


class Function:
    """Hashes what it is given, one request a connection after the other.

    :ivar seen: SHA-256 by call id; of the last time where there were several.
    """

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                digest, left = hashlib.sha256(), int(_field(head, "content-length"))
                while left:
                    piece = await reader.read(min(left, _MIB))
                    if not piece:
                        return
                    digest.update(piece)
                    left -= len(piece)
                self.seen[_field(head, "x-call-id")] = digest.hexdigest()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()


def _field(head: str, name: str) -> str:
    for line in head.split("\r\n"):
        if line.lower().startswith(f"{name}:"):
            return line.partition(":")[2].strip()
    raise BenchmarkFailed(f"no {name} in {head!r}")


async def upload(port: int, number: int, size_mib: int) -> tuple[str, str, float]:
    """
    :return: the call's id, the SHA-256 of what was sent, and seconds until the 202.
    """
    piece, digest = random.Random(number).randbytes(_MIB), hashlib.sha256()
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /async-function/noop HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: %d\r\n\r\n" % (size_mib * _MIB)
    )
    for at in range(size_mib):
        # No two pieces are the same, so that one in another's place is noticed.
        mark = b"%8d" % at
        digest.update(mark)
        digest.update(piece[8:])
        writer.write(mark + piece[8:])
        await writer.drain()
    try:
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _LONGEST_SECONDS)
    except (TimeoutError, asyncio.IncompleteReadError) as reason:
        raise BenchmarkFailed(f"upload {number}: {reason!r}") from reason
    finally:
        writer.close()
    seconds, head = time.monotonic() - began, answer.decode("latin-1")
    if not head.startswith("HTTP/1.1 202 "):
        raise BenchmarkFailed(head)
    return _field(head, "x-call-id"), digest.hexdigest(), seconds


def measure(amounts: Amounts) -> Iterator[Figures]:
    return iter([asyncio.run(_measure(amounts))])


async def _measure(amounts: Amounts) -> Figures:
    function = Function()
    server = await asyncio.start_server(function.serve, "127.0.0.1", 0, limit=4 * _MIB)
    port = server.sockets[0].getsockname()[1]
    opened = daemon(Setup(port, max_inflight=amounts.at_once, most_waiting=2_000_000))
    running = await asyncio.to_thread(opened.__enter__)
    try:
        return await _upload_all(running, function, amounts)
    finally:
        await asyncio.to_thread(opened.__exit__, None, None, None)
        server.close()


async def _upload_all(running: Daemon, function: Function, amounts: Amounts) -> Figures:
    sent: dict[str, str] = {}
    seconds: list[float] = []
    numbers = iter(range(amounts.uploads))

    async def client() -> None:
        for number in numbers:
            call_id, digest, took = await upload(running.port, number, amounts.size_mib)
            sent[call_id] = digest
            seconds.append(took)

    began = time.monotonic()
    with running.processes.costs() as costs:
        await asyncio.gather(*(client() for _ in range(amounts.at_once)))
        await asyncio.to_thread(running.wait_until_ended, amounts.uploads)
    took = time.monotonic() - began
    if function.seen != sent:
        wrong = sum(function.seen.get(call_id) != digest for call_id, digest in sent.items())
        raise BenchmarkFailed(f"{wrong} of {len(sent)} bodies are not what was sent")
    await _wait_until_empty(running)
    peaks = running.processes.peak_mib()
    if peaks["daemon"] > amounts.memory_mib:
        raise BenchmarkFailed(f"the daemon took {peaks['daemon']:.0f} MiB")
    return Figures(
        f"{amounts.uploads} bodies of {amounts.size_mib} MiB",
        rate=amounts.uploads / took,
        p50_ms=percentile(seconds, 0.5) * 1e3,
        p99_ms=percentile(seconds, 0.99) * 1e3,
        cpu_us=a_call(costs, amounts.uploads),
        memory_mib=peaks,
    )


async def _wait_until_empty(running: Daemon) -> None:
    until = time.monotonic() + _LONGEST_SECONDS
    while await asyncio.to_thread(running.figure, "faasd_async_stream_messages", _CALLS):
        if time.monotonic() > until:
            raise BenchmarkFailed("something is left of the bodies")
        await asyncio.sleep(0.1)


BENCHMARK = Benchmark(
    "bodies",
    measure,
    usual=Amounts(),
    smoke=Amounts(uploads=6, size_mib=10, at_once=3),
    against_floor=False,
)

if __name__ == "__main__":
    run(BENCHMARK, __doc__)
