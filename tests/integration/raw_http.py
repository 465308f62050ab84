"""A client that sends exactly what a test says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httptools
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

ANSWER_SECONDS = 40


@dataclass
class Response:
    """An answer; *headers* keep their order and case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        for each, value in self.headers:
            if each.lower() == name.lower():
                return value
        return None


class Conversation(Protocol):
    """One connection: bytes out, answers in.

    :ivar received: every byte that came.
    """

    def __init__(self, reactor: Any, method: str) -> None:
        self._reactor = reactor
        self.received = b""
        self.answers: list[Response] = []
        self.closed = False
        self._closing: list[Deferred[None]] = []
        self._method = method
        self._status_and_headers: list[tuple[str, str]] = []
        self._body = b""
        self._waiting: list[tuple[int, Deferred[list[Response]]]] = []
        self._received_waiters: list[tuple[bytes, Deferred[None]]] = []
        self._parser = httptools.HttpResponseParser(self)

    def send(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def when_answers(self, count: int) -> Deferred[list[Response]]:
        """Fires with the first *count* answers, or fails when the connection ends before."""
        waiter: Deferred[list[Response]] = Deferred()
        self._waiting.append((count, waiter))
        self._tell()
        return waiter.addTimeout(ANSWER_SECONDS, self._reactor)

    def when_received(self, part: bytes) -> Deferred[None]:
        """Fires when *part* has come."""
        waiter: Deferred[None] = Deferred()
        self._received_waiters.append((part, waiter))
        self._tell()
        return waiter.addTimeout(ANSWER_SECONDS, self._reactor)

    def when_closed(self) -> Deferred[None]:
        """Fires when the other side has ended the connection."""
        waiter: Deferred[None] = Deferred()
        if self.closed:
            waiter.callback(None)
        else:
            self._closing.append(waiter)
        return waiter.addTimeout(ANSWER_SECONDS, self._reactor)

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self._parser.feed_data(data)
        self._tell()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.closed = True
        waiting, self._waiting = self._waiting, []
        for _, waiter in waiting:
            waiter.errback(Failure(ConnectionError(f"closed after {self.received[-400:]!r}")))
        closing, self._closing = self._closing, []
        for each in closing:
            each.callback(None)

    def _tell(self) -> None:
        for entry in list(self._waiting):
            if len(self.answers) >= entry[0]:
                self._waiting.remove(entry)
                entry[1].callback(self.answers[: entry[0]])
        for part in list(self._received_waiters):
            if part[0] in self.received:
                self._received_waiters.remove(part)
                part[1].callback(None)

    # -- httptools

    def on_message_begin(self) -> None:
        self._status_and_headers, self._body = [], b""

    def on_header(self, name: bytes, value: bytes) -> None:
        self._status_and_headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        if self._method == "HEAD":
            self._end()

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        if self._method != "HEAD" and self._parser.get_status_code() >= 200:
            self._end()

    def _end(self) -> None:
        status = self._parser.get_status_code()
        self.answers.append(Response(status, self._status_and_headers, self._body))


def converse(
    reactor: Any, port: int, method: str = "POST", host: str = "127.0.0.1"
) -> Deferred[Conversation]:
    """Open a connection to a port of loopback.

    :param host: its address, of either kind: the reactor's own method takes both.
    """
    endpoint = TCP4ClientEndpoint(reactor, host, port, timeout=10)
    connected: Deferred[Conversation] = connectProtocol(endpoint, Conversation(reactor, method))
    return connected


def exchange(
    reactor: Any,
    port: int,
    method: str,
    target: str | bytes,
    fields: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
) -> Deferred[Response]:
    """One request on a connection of its own."""
    return Deferred.fromCoroutine(_exchange(reactor, port, method, target, fields, body))


async def _exchange(
    reactor: Any,
    port: int,
    method: str,
    target: str | bytes,
    fields: Sequence[tuple[str, str]],
    body: bytes,
) -> Response:
    conversation = await converse(reactor, port, method)
    conversation.send(request_bytes(method, target, fields, body))
    try:
        return (await conversation.when_answers(1))[0]
    finally:
        assert conversation.transport is not None
        conversation.transport.loseConnection()


def request_bytes(
    method: str,
    target: str | bytes,
    fields: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
) -> bytes:
    """A request as it is written; its ``Host`` is *gateway.test* unless *fields* have one."""
    raw = target if isinstance(target, bytes) else target.encode("latin-1")
    lines = [b"%b %b HTTP/1.1" % (method.encode(), raw)]
    if not any(name.lower() == "host" for name, _ in fields):
        lines.append(b"Host: gateway.test")
    lines += [f"{name}: {value}".encode("latin-1") for name, value in fields]
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, b"", body])
