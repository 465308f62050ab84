"""How long a call takes when there is nothing else to do: so many a second, at even distances, each
with a callback. Told is the time from the call until its 202, and until its callback.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httptools

from benchmarks.caller import request_bytes
from benchmarks.command import Benchmark, run
from benchmarks.daemon import Daemon, Setup, daemon
from benchmarks.figures import Figures, percentile
from benchmarks.harness import BenchmarkFailed, Noop
from benchmarks.processes import a_call

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_LONGEST_SECONDS = 30.0


@dataclass(frozen=True)
class Amounts:
    seconds: float = field(default=30.0, metadata={"help": "of calls"})
    a_second: int = field(default=50, metadata={"help": "calls"})


@dataclass
class Call:
    """When what happened, on the monotonic clock."""

    began: float
    callback: asyncio.Future[float]
    call_id: bytes = b""
    accepted: float = 0.0
    callbacks: int = 0


class Receiver(asyncio.Protocol):
    """One connection on which callbacks come; ``/<number>`` tells of which call."""

    def __init__(self, calls: list[Call]) -> None:
        self._calls = calls
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._number = int(url[1:])
        self._call_id = self._body = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-call-id":
            self._call_id = value

    def on_body(self, piece: bytes) -> None:
        self._body += piece

    def on_message_complete(self) -> None:
        now = time.monotonic()
        self._transport.write(_ANSWER)
        call = self._calls[self._number]
        call.callbacks += 1
        call.call_id = self._call_id
        if call.callback.done():
            return
        if self._body == b"ok":
            call.callback.set_result(now)
        else:
            call.callback.set_exception(BenchmarkFailed(f"a callback brought {self._body!r}"))


class Line:
    """A connection to call on, one call at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def make(self, call: Call, request: bytes) -> None:
        """
        :raises BenchmarkFailed: it was not accepted, or its callback is that of another one.
        """
        async with self._free:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            call.accepted = time.monotonic()
        try:
            await asyncio.wait_for(call.callback, _LONGEST_SECONDS)
        except TimeoutError:
            raise BenchmarkFailed(f"no callback came in {_LONGEST_SECONDS:.0f} s") from None
        if not answer.startswith(b"HTTP/1.1 202 ") or call.call_id not in answer:
            raise BenchmarkFailed(f"a call was answered:\n{answer.decode()}")

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


def measure(amounts: Amounts) -> Iterator[Figures]:
    count = round(amounts.seconds * amounts.a_second)
    noop = Noop(count, distinct=True)
    noop.release()
    with daemon(Setup(noop.port, max_inflight=100)) as running:
        with running.processes.costs() as costs:
            calls = asyncio.run(make_calls(running, count, 1 / amounts.a_second))
        memory = running.processes.memory_mib()
    came, _ = noop.stop()
    callbacks = sum(call.callbacks for call in calls)
    if (came, callbacks) != (count, count):
        raise BenchmarkFailed(f"{count} calls were made, {came} ran, {callbacks} callbacks came")
    ends = {
        "until the 202": [call.accepted - call.began for call in calls],
        "until the callback": [call.callback.result() - call.began for call in calls],
    }
    for what, seconds in ends.items():
        yield Figures(
            f"at {amounts.a_second}/s, {what}",
            p50_ms=percentile(seconds, 0.5) * 1e3,
            p99_ms=percentile(seconds, 0.99) * 1e3,
            cpu_us=a_call(costs, count),
            memory_mib=memory,
        )


async def make_calls(running: Daemon, count: int, distance_seconds: float) -> list[Call]:
    loop = asyncio.get_running_loop()
    calls: list[Call] = []
    server = await loop.create_server(lambda: Receiver(calls), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    # More than are busy at a time: a call that is slow is to keep no other one waiting.
    lines = [Line(running.port) for _ in range(8)]
    making: list[asyncio.Task[None]] = []
    began = loop.time()
    for number in range(count):
        await asyncio.sleep(began + number * distance_seconds - loop.time())
        request = request_bytes("noop", f"http://127.0.0.1:{port}/{number}")
        calls.append(Call(time.monotonic(), loop.create_future()))
        making.append(asyncio.create_task(lines[number % len(lines)].make(calls[-1], request)))
    await asyncio.gather(*making)
    for line in lines:
        line.close()
    server.close()
    return calls


BENCHMARK = Benchmark(
    "latency", measure, usual=Amounts(), smoke=Amounts(seconds=1.0), against_floor=False
)

if __name__ == "__main__":
    run(BENCHMARK, __doc__)
