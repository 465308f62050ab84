"""Exactly so many calls: a client that counts, and reads each receipt."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Iterator, Sequence
from itertools import cycle, islice

from benchmarks.figures import percentile
from benchmarks.harness import BODY, BenchmarkFailed
from benchmarks.load import Load

_CALL_ID = b"\r\nX-Call-Id: "


def request_bytes(function: str, callback_url: str | None = None) -> bytes:
    """A call, as it goes over the wire."""
    callback = f"X-Callback-Url: {callback_url}\r\n" if callback_url else ""
    head = (
        f"POST /async-function/{function} HTTP/1.1\r\nHost: localhost\r\n{callback}"
        f"Content-Length: {len(BODY)}\r\n\r\n"
    )
    return head.encode() + BODY


class Receipts:
    """The answers of all callers together, by their call ids."""

    def __init__(self) -> None:
        self.ids: set[bytes] = set()
        self.milliseconds = array("d")

    def take(self, answer: bytes, seconds: float) -> None:
        """
        :raises BenchmarkFailed: it is no 202 with a call id.
        """
        _, found, rest = answer.partition(_CALL_ID)
        if not answer.startswith(b"HTTP/1.1 202 ") or not found:
            raise BenchmarkFailed(f"a call was not accepted:\n{answer.decode()}")
        self.ids.add(rest.partition(b"\r\n")[0])
        self.milliseconds.append(seconds * 1e3)


class Caller(asyncio.Protocol):
    """One connection: makes a call, and the next one when that is answered.

    :param requests: what to send; several callers may share it.
    """

    def __init__(self, requests: Iterator[bytes], receipts: Receipts) -> None:
        self._requests = requests
        self._receipts = receipts
        self._answer = b""
        self._transport: asyncio.WriteTransport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._call()

    def _call(self) -> None:
        assert self._transport is not None
        request = next(self._requests, None)
        if request is None:
            self.done.set_result(None)
            self._transport.close()
        else:
            self._began = time.monotonic()
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        # A 202 has no body, and any other answer is one too many.
        if b"\r\n\r\n" not in self._answer:
            return
        answer, self._answer = self._answer, b""
        try:
            self._receipts.take(answer, time.monotonic() - self._began)
        except BenchmarkFailed as reason:
            self._fail(reason)
        else:
            self._call()

    def connection_lost(self, reason: Exception | None) -> None:
        self._fail(BenchmarkFailed(f"a connection was lost: {reason}"))

    def _fail(self, reason: BenchmarkFailed) -> None:
        if not self.done.done():
            self.done.set_exception(reason)


def put(
    port: int,
    calls: int,
    connections: int,
    functions: Sequence[str] = ("noop",),
    callback_url: str | None = None,
) -> Load:
    """Have exactly so many calls accepted, of each function in turn.

    :raises BenchmarkFailed: one was not.
    """
    requests = [request_bytes(function, callback_url) for function in functions]
    return asyncio.run(_put(port, islice(cycle(requests), calls), calls, connections))


async def _put(port: int, requests: Iterator[bytes], calls: int, connections: int) -> Load:
    loop = asyncio.get_running_loop()
    receipts = Receipts()
    began = time.monotonic()
    made = [
        await loop.create_connection(lambda: Caller(requests, receipts), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(caller.done for _, caller in made))
    seconds = time.monotonic() - began
    if len(receipts.ids) != calls:
        raise BenchmarkFailed(f"{calls} calls were accepted under {len(receipts.ids)} call ids")
    p50, p99 = (percentile(receipts.milliseconds, share) for share in (0.5, 0.99))
    return Load(calls, 0, calls / seconds, p50, p99)
