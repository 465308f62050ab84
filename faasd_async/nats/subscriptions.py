"""What we listen to, and who is told.

A subscription outlives the connection: it is made again on the next one, for as many messages as
were still to come.
"""

from collections.abc import Callable

from twisted.logger import Logger

from faasd_async.nats.errors import NatsError
from faasd_async.nats.protocol import NatsProtocol
from faasd_async.nats.wire import Message, commands


class Subscription:
    """Interest in a subject, made by :meth:`NatsClient.subscribe`.

    :ivar remaining: how many messages may still come; 0 is no limit.
    """

    __slots__ = ("_table", "callback", "draining", "queue", "remaining", "sid", "subject")

    def __init__(
        self,
        table: "Subscriptions",
        sid: bytes,
        subject: bytes,
        callback: Callable[[Message], None],
        queue: bytes,
        max_messages: int,
    ) -> None:
        self._table = table
        self.sid = sid
        self.subject = subject
        self.callback = callback
        self.queue = queue
        self.remaining = max_messages
        self.draining = False

    def unsubscribe(self) -> None:
        """Hear nothing more; what is on its way is dropped."""
        self._table.remove(self)

    def drain(self) -> None:
        """End the interest, but hear what is on its way already."""
        self._table.drain(self)


class Subscriptions:
    """All subscriptions of one client."""

    def __init__(self) -> None:
        self._log = Logger()
        self._by_sid: dict[bytes, Subscription] = {}
        self._last_sid = 0
        self._connection: NatsProtocol | None = None

    def __len__(self) -> int:
        return len(self._by_sid)

    def add(
        self, subject: bytes, callback: Callable[[Message], None], queue: bytes, max_messages: int
    ) -> Subscription:
        """Begin to listen, now or with the next connection.

        :raises BadSubject: subject or queue cannot be written.
        """
        sid = b"%d" % (self._last_sid + 1)
        command = commands.subscribe(sid, subject, queue)
        self._last_sid += 1
        subscription = Subscription(self, sid, subject, callback, queue, max_messages)
        self._by_sid[sid] = subscription
        if self._connection is not None:
            self._connection.send(command)
            if max_messages:
                self._connection.send(commands.unsubscribe(sid, max_messages))
        return subscription

    def remove(self, subscription: Subscription) -> None:
        """Stop listening."""
        known = self._by_sid.pop(subscription.sid, None)
        if known is not None and self._connection is not None and not subscription.draining:
            self._connection.send(commands.unsubscribe(subscription.sid))

    def drain(self, subscription: Subscription) -> None:
        """Stop listening once the server has confirmed that it sends nothing more."""
        if subscription.sid not in self._by_sid or subscription.draining:
            return
        if self._connection is None:
            self.remove(subscription)
            return
        subscription.draining = True
        self._connection.send(commands.unsubscribe(subscription.sid))

        def confirmed(error: NatsError | None) -> None:
            self._by_sid.pop(subscription.sid, None)

        self._connection.ping(confirmed)

    def dispatch(self, message: Message) -> None:
        """Tell whom it concerns; their failure stays their own."""
        subscription = self._by_sid.get(message.sid)
        if subscription is None:
            return
        if subscription.remaining:
            subscription.remaining -= 1
            if not subscription.remaining:
                del self._by_sid[message.sid]
        try:
            subscription.callback(message)
        except Exception:
            self._log.failure(
                "a subscriber to {subject} failed", subject=subscription.subject.decode("latin-1")
            )

    def connected(self, connection: NatsProtocol) -> None:
        """Make every subscription anew on this connection."""
        self._connection = connection
        for sid, subscription in self._by_sid.items():
            connection.send(commands.subscribe(sid, subscription.subject, subscription.queue))
            if subscription.remaining:
                connection.send(commands.unsubscribe(sid, subscription.remaining))

    def disconnected(self) -> None:
        """Keep the subscriptions for the next connection.

        Those that were draining are over: the connection tells :meth:`drain` so itself.
        """
        self._connection = None
