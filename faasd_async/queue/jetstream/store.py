"""Putting things into streams, and knowing when they are safe."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
    MessageNotFound,
    PubAck,
    ResourcesExceeded,
    StreamFull,
    WrongLastSequence,
)
from faasd_async.nats.wire import encode_headers
from faasd_async.queue.interface import told
from faasd_async.queue.jetstream.durability import Durability

Fields = Sequence[tuple[bytes, bytes]]

#: What may be on its way to the broker without an answer, and how much of it is held in memory.
MOST_UNANSWERED = 10_000
MOST_HELD_BYTES = 32 * 2**20

#: What a stream stores about a message besides.
_ABOUT_BYTES = 64


class Store:
    """JetStream, with this package's errors and this deployment's durability.

    A broker or a disk that is slow is not given more and more: past a bound what is new is refused,
    before it is stored.

    :param why_silent: that the broker does not answer just now, in words, or ``None``.
    """

    def __init__(
        self,
        jetstream: JetStream,
        durability: Durability,
        why_silent: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.jetstream = jetstream
        self._durability = durability
        self._why_silent = why_silent
        self._unanswered = 0
        self._held_bytes = 0
        self.when_full: Callable[[int], object] = lambda size_bytes: None

    def put(self, subject: str, fields: Fields, payload: bytes) -> Deferred[PubAck]:
        """Have a message acknowledged.

        :return: fails with a :class:`~faasd_async.errors.QueueError`.
        """
        stored: Deferred[PubAck] = Deferred()

        def acknowledged(ack: PubAck | NatsError) -> None:
            self._unanswered -= 1
            if isinstance(ack, NatsError):
                stored.errback(queue_error(ack))
            else:
                stored.callback(ack)

        self._unanswered += 1
        try:
            self.jetstream.publish_then(
                subject.encode(), payload, encode_headers(fields), acknowledged
            )
        except NatsError as reason:
            self._unanswered -= 1
            stored.errback(queue_error(reason))
        return stored

    def put_then(
        self,
        subject: bytes,
        header_block: bytes,
        payload: bytes,
        stored: Callable[[QueueError | None], None],
    ) -> None:
        """As :meth:`put`; *stored* is called once, perhaps at once."""

        def acknowledged(ack: PubAck | NatsError) -> None:
            self._unanswered -= 1
            stored(queue_error(ack) if isinstance(ack, NatsError) else None)

        self._unanswered += 1
        try:
            self.jetstream.publish_then(subject, payload, header_block, acknowledged)
        except NatsError as reason:
            acknowledged(reason)

    def when_durable_then(self, durable: Callable[[QueueError | None], None]) -> None:
        """As :meth:`when_durable`; *durable* is called once, perhaps at once."""
        self._durability.when_durable(durable)

    def put_durably_then(
        self,
        subject: bytes,
        header_block: bytes,
        payload: bytes,
        done: Callable[[QueueError | None], None],
    ) -> None:
        """Have a message acknowledged and then made durable; *done* is called once, perhaps at
        once."""
        size = len(payload)
        why = self._why_refused(size)
        if why is not None:
            done(QueueUnavailable(why))
            return
        self._held_bytes += size
        self._unanswered += 1

        def durable(reason: QueueError | None) -> None:
            self._held_bytes -= size
            done(reason)

        def acknowledged(ack: PubAck | NatsError) -> None:
            self._unanswered -= 1
            if isinstance(ack, NatsError):
                if isinstance(ack, StreamFull):
                    self.when_full(size + len(subject) + len(header_block) + _ABOUT_BYTES)
                durable(queue_error(ack))
            else:
                self._durability.when_durable(durable)

        try:
            self.jetstream.publish_then(subject, payload, header_block, acknowledged)
        except NatsError as reason:
            acknowledged(reason)

    def when_durable(self) -> Deferred[None]:
        """Fires when all that was acknowledged by now is durable."""
        return told(self._durability.when_durable)

    def put_durably(self, subject: str, fields: Fields, payload: bytes) -> Deferred[None]:
        """As :meth:`put_durably_then`."""
        header_block = encode_headers(fields)
        return told(
            lambda done: self.put_durably_then(subject.encode(), header_block, payload, done)
        )

    async def remove(self, stream: str, subject: str) -> None:
        """Remove the messages of one subject, if there are any, one by one.

        A purge of it would be one request, but makes the broker forget, for every consumer with a
        wider filter, what that was to hand out again at once: it would come when its lease is over.

        :raises NatsError: the broker did not do it.
        """
        try:
            while True:
                found = await self.jetstream.get_last_message(stream, subject)
                await self.jetstream.delete_message(stream, found.sequence)
        except MessageNotFound:
            pass

    def _why_refused(self, size_bytes: int) -> str | None:
        if self._unanswered >= MOST_UNANSWERED:
            return f"the broker is slow: it has not answered {MOST_UNANSWERED} messages yet"
        if self._held_bytes and self._held_bytes + size_bytes > MOST_HELD_BYTES:
            return f"the broker is slow: {self._held_bytes} bytes wait for its answer"
        return self._why_silent() or self._durability.why_refused()


def queue_error(error: NatsError) -> QueueError:
    """What a failed request means to the one who wanted something stored or found."""
    if isinstance(error, WrongLastSequence):
        return AlreadyStored(str(error))
    if isinstance(error, MaxPayloadExceeded):
        return CallTooLarge(error.size_bytes, error.limit_bytes)
    if isinstance(error, (ConnectionDropped, RequestTimedOut)):
        return MaybeStored(str(error))
    if isinstance(error, StreamFull):
        return QueueFull("it is full, and what waits in it takes up its quota")
    if isinstance(error, ResourcesExceeded):
        return QueueFull("the NATS server has no room for more")
    return QueueUnavailable(str(error))
