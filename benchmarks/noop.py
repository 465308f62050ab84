"""A function that does nothing, as fast as asyncio can: the other end of the benchmarks.

``python -m benchmarks.noop EXPECTED`` writes the port it listens on. It holds its answers until a
line comes on standard input. Each time that EXPECTED calls have come in all, and likewise
EXPECTED callbacks (requests to ``/callback``, which are never held), it writes which and when, on
the monotonic clock. It ends when its standard input does, so never later than whoever started it,
and writes how many came of each.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

import httptools

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"


class Counter:
    """Counts one kind of request."""

    def __init__(self, kind: str, expected: int) -> None:
        self._kind = kind
        self._expected = expected
        self.came = 0

    def count(self) -> None:
        self.came += 1
        if self.came == self._expected:
            say(f"{self._kind} {time.monotonic():.6f}")


class Gate:
    """Holds answers until it is opened."""

    def __init__(self) -> None:
        self._open = False
        self._held: list[asyncio.WriteTransport] = []

    def answer(self, transport: asyncio.WriteTransport) -> None:
        if self._open:
            transport.write(_ANSWER)
        else:
            self._held.append(transport)

    def open(self) -> None:
        self._open = True
        held, self._held = self._held, []
        for transport in held:
            transport.write(_ANSWER)


class Noop(asyncio.Protocol):
    """One connection."""

    def __init__(self, gate: Gate, calls: Counter, callbacks: Counter) -> None:
        self._gate = gate
        self._calls = calls
        self._callbacks = callbacks
        self._parser = httptools.HttpRequestParser(self)
        self._is_callback = False
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._is_callback = url.startswith(b"/callback")

    def on_message_complete(self) -> None:
        assert self._transport is not None
        if self._is_callback:
            self._callbacks.count()
            self._transport.write(_ANSWER)
        else:
            self._calls.count()
            self._gate.answer(self._transport)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def serve(expected: int) -> None:
    gate = Gate()
    calls, callbacks = Counter("calls", expected), Counter("callbacks", expected)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Noop(gate, calls, callbacks), "127.0.0.1", 0, backlog=1024
    )
    ended = asyncio.Event()

    def told() -> None:
        if os.read(sys.stdin.fileno(), 1024):
            gate.open()
        else:
            loop.remove_reader(sys.stdin)
            ended.set()

    loop.add_reader(sys.stdin, told)
    say(str(server.sockets[0].getsockname()[1]))
    await ended.wait()
    say(f"ended {calls.came} {callbacks.came}")


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
