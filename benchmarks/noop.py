"""A function that does nothing, as fast as asyncio can: the other end of the benchmarks.

``python -m benchmarks.noop EXPECTED`` writes the port it listens on. It holds its answers until a
line comes on standard input. Each time that EXPECTED calls have come in all, and likewise
EXPECTED callbacks (requests to ``/callback``, which are never held), it writes which and when, on
the monotonic clock. It ends when its standard input does, so never later than whoever started it,
and writes how many came of each, how many brought a wrong body and, with ``--distinct``, how many
a call id that another had brought.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from contextlib import suppress

import httptools

from benchmarks.harness import BODY

_REPLY = b"ok"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\n" + _REPLY


class Counter:
    """Counts one kind of request.

    :param body: what each POST has to bring.
    """

    def __init__(self, kind: str, expected: int, body: bytes) -> None:
        self._kind = kind
        self._expected = expected
        self._body = body
        self._ids: set[bytes] = set()
        self.came = self.wrong = self.repeated = 0

    def count(self, method: bytes, body: bytes, call_id: bytes | None) -> None:
        self.came += 1
        if method == b"POST" and body != self._body:
            self.wrong += 1
        if call_id is not None:
            self.repeated += call_id in self._ids
            self._ids.add(call_id)
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
        self._body = b""
        self._call_id: bytes | None = None
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._is_callback = url.startswith(b"/callback")
        self._body = b""

    def on_body(self, piece: bytes) -> None:
        self._body += piece

    def on_message_complete(self) -> None:
        assert self._transport is not None
        method = self._parser.get_method()
        if self._is_callback:
            self._callbacks.count(method, self._body, self._call_id)
            self._transport.write(_ANSWER)
        else:
            self._calls.count(method, self._body, self._call_id)
            self._gate.answer(self._transport)


class DistinctNoop(Noop):
    """One that looks at call ids. Apart, because without it no field costs a call of Python."""

    def on_header(self, name: bytes, value: bytes) -> None:
        if name == b"X-Call-Id":
            self._call_id = value


def say(line: str) -> None:
    # Whoever started it may have failed and gone.
    with suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), f"{line}\n".encode())


async def serve(expected: int, connection: type[Noop]) -> None:
    gate = Gate()
    calls = Counter("calls", expected, BODY)
    callbacks = Counter("callbacks", expected, _REPLY)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: connection(gate, calls, callbacks), "127.0.0.1", 0, backlog=1024
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
    wrong, repeated = calls.wrong + callbacks.wrong, calls.repeated + callbacks.repeated
    say(f"ended {calls.came} {callbacks.came} {wrong} {repeated}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.noop", description=__doc__)
    parser.add_argument("expected", type=int)
    parser.add_argument("--distinct", action="store_true")
    options = parser.parse_args()
    asyncio.run(serve(options.expected, DistinctNoop if options.distinct else Noop))


if __name__ == "__main__":
    main()
