"""Several stored messages for one request: JetStream's batched direct get, and a consumer's heads.

The server answers with the messages themselves and with a last word: ``204 EOB``, or ``404`` if
there is none. A direct get's messages say in headers of the server's where they lie; a consumer's
say it in their reply subjects, and come without their payloads if it was made so.
Source: nats-io/nats-architecture-and-design, ADR-31 and ADR-13.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from twisted.internet.defer import Deferred

from faasd_async.nats.client import NatsClient
from faasd_async.nats.errors import ConnectionDropped, NatsError, NoResponders, RequestTimedOut
from faasd_async.nats.futures import new_future, reject, resolve
from faasd_async.nats.jetstream.errors import JetStreamError
from faasd_async.nats.jetstream.message import JetStreamMessage
from faasd_async.nats.jetstream.model import StoredMessage
from faasd_async.nats.requests import new_inbox
from faasd_async.nats.wire import Headers, Message

_STATUS = b"NATS/1.0 "
_END, _NOTHING, _NO_MORE, _NOBODY = 204, 404, 408, 503


class Batch(NamedTuple):
    """What came of it.

    :ivar pending: how many messages more there are behind the last one.
    """

    messages: list[StoredMessage]
    pending: int


def get_batch(
    client: NatsClient, stream: str, request: Mapping[str, object], timeout_seconds: float
) -> "Deferred[Batch]":
    """Ask, and gather what comes.

    :param timeout_seconds: the longest silence.
    """
    return _Gathering(client, timeout_seconds, _stored).ask(f"DIRECT.GET.{stream}", request)


def pull_batch(
    client: NatsClient, stream: str, consumer: str, count: int, timeout_seconds: float
) -> "Deferred[Batch]":
    """What a consumer hands out at once, without waiting for more.

    :param count: how many at most.
    :param timeout_seconds: the longest silence.
    """

    def read(message: Message) -> StoredMessage:
        return _handed_out(JetStreamMessage(client, message))

    subject = f"CONSUMER.MSG.NEXT.{stream}.{consumer}"
    request = {"batch": count, "no_wait": True}
    return _Gathering(client, timeout_seconds, read, count).ask(subject, request)


class _Gathering:
    """:param most: with so many there is no last word."""

    def __init__(
        self,
        client: NatsClient,
        timeout_seconds: float,
        read: Callable[[Message], StoredMessage],
        most: int | None = None,
    ) -> None:
        self._client = client
        self._timeout_seconds = timeout_seconds
        self._read = read
        self._most = most
        self._messages: list[StoredMessage] = []
        self._gathered: Deferred[Batch] = new_future(lambda _: self._stop())

    def ask(self, what: str, request: Mapping[str, object]) -> "Deferred[Batch]":
        inbox = new_inbox()
        self._subscription = self._client.subscribe(inbox, self._received)
        self._forget_client = self._client.on_disconnected(self._disconnected)
        self._patience = self._client.clock.callLater(self._timeout_seconds, self._late)
        subject = f"$JS.API.{what}".encode()
        try:
            self._client.publish(subject, msgspec.json.encode(request), reply=inbox)
        except NatsError as error:
            self._fail(error)
        return self._gathered

    def _received(self, message: Message) -> None:
        self._patience.reset(self._timeout_seconds)
        try:
            if message.header_block.startswith(_STATUS):
                self._ended(message.headers)
            else:
                self._messages.append(self._read(message))
                if len(self._messages) == self._most:
                    self._succeed(0)
        except (NatsError, ValueError) as error:
            block = message.header_block
            self._fail(JetStreamError(f"no stored message: {block[:80]!r} ({error})"))

    def _ended(self, headers: Headers) -> None:
        if headers.status == _END:
            self._succeed(int(headers.get(b"Nats-Num-Pending", b"0")))
        elif headers.status == _NOTHING or (self._most and headers.status == _NO_MORE):
            self._succeed(0)
        elif headers.status == _NOBODY:
            self._fail(NoResponders("nobody answers for the stream"))
        else:
            words = f"{headers.status} {headers.description}"
            self._fail(JetStreamError(f"JetStream gives no messages: {words}"))

    def _disconnected(self) -> None:
        self._fail(ConnectionDropped("the connection to NATS ended"))

    def _late(self) -> None:
        self._fail(RequestTimedOut("no stored message in time"))

    def _succeed(self, pending: int) -> None:
        self._stop()
        # Its subscription knows this, and is known: what would stay here would stay for long.
        messages, self._messages = self._messages, []
        resolve(self._gathered, Batch(messages, pending))

    def _fail(self, error: NatsError) -> None:
        self._stop()
        reject(self._gathered, error)

    def _stop(self) -> None:
        self._subscription.unsubscribe()
        self._forget_client()
        if self._patience.active():
            self._patience.cancel()


def _stored(message: Message) -> StoredMessage:
    """A message as it was stored, whatever its own headers are like."""
    block = message.header_block
    return StoredMessage(
        subject=_told(block, b"Subject"),
        sequence=int(_told(block, b"Sequence")),
        time=msgspec.convert(_told(block, b"Time-Stamp"), datetime),
        header_block=block,
        payload=message.payload,
    )


def _handed_out(message: JetStreamMessage) -> StoredMessage:
    """A message as a consumer hands it out."""
    return StoredMessage(
        subject=message.subject.decode(),
        sequence=message.stream_sequence,
        time=datetime.fromtimestamp(message.timestamp_ns / 1e9, UTC),
        header_block=message.header_block,
        payload=message.payload,
    )


def _told(block: bytes, what: bytes) -> str:
    """What the server told in one of its own headers, which stand behind those of the message."""
    _, found, rest = block.rpartition(b"\r\nNats-%b: " % what)
    if not found:
        raise ValueError(f"no Nats-{what.decode()} header")
    return rest.partition(b"\r\n")[0].decode()
