"""Putting things into streams, and knowing when they are safe."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from faasd_async.errors import (
    AlreadyStored,
    CallTooLarge,
    MaybeStored,
    QueueError,
    QueueFull,
    QueueUnavailable,
)
from faasd_async.nats.errors import (
    ConnectionDropped,
    MaxPayloadExceeded,
    NatsError,
    RequestTimedOut,
)
from faasd_async.nats.jetstream import (
    JetStream,
    PubAck,
    ResourcesExceeded,
    StreamFull,
    WrongLastSequence,
)
from faasd_async.nats.wire import encode_headers
from faasd_async.queue.jetstream.durability import Durability

Fields = Sequence[tuple[bytes, bytes]]


class Store:
    """JetStream, with this package's errors and this deployment's durability."""

    def __init__(self, jetstream: JetStream, durability: Durability) -> None:
        self.jetstream = jetstream
        self._durability = durability

    def put(self, subject: str, fields: Fields, payload: bytes) -> Deferred[PubAck]:
        """Have a message acknowledged.

        :return: fails with a :class:`~faasd_async.errors.QueueError`.
        """
        stored: Deferred[PubAck] = Deferred()

        def acknowledged(ack: PubAck | NatsError) -> None:
            if isinstance(ack, NatsError):
                stored.errback(queue_error(ack))
            else:
                stored.callback(ack)

        try:
            self.jetstream.publish_then(
                subject.encode(), payload, encode_headers(fields), acknowledged
            )
        except NatsError as reason:
            stored.errback(queue_error(reason))
        return stored

    def when_durable(self) -> Deferred[None]:
        """Fires when all that was acknowledged by now is durable."""
        durable: Deferred[None] = Deferred()

        def promise(reason: QueueUnavailable | None) -> None:
            if reason is None:
                durable.callback(None)
            else:
                durable.errback(reason)

        try:
            self._durability.when_durable(promise)
        except QueueUnavailable as reason:
            durable.errback(reason)
        return durable

    def put_durably(self, subject: str, fields: Fields, payload: bytes) -> Deferred[None]:
        """Have a message acknowledged and then made durable."""
        return self.put(subject, fields, payload).addCallback(lambda _: self.when_durable())


def queue_error(error: NatsError) -> QueueError:
    """What a failed request means to the one who wanted something stored or found."""
    if isinstance(error, WrongLastSequence):
        return AlreadyStored(str(error))
    if isinstance(error, MaxPayloadExceeded):
        return CallTooLarge(error.size_bytes, error.limit_bytes)
    if isinstance(error, (ConnectionDropped, RequestTimedOut)):
        return MaybeStored(str(error))
    if isinstance(error, (StreamFull, ResourcesExceeded)):
        return QueueFull(str(error))
    return QueueUnavailable(str(error))
