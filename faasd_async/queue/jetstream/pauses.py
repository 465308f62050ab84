"""Pauses: ``faas.control.paused.…`` in ``FAAS_CONTROL``, one message for each function or queue.

The stream is the truth, and the order of its sequences the order of the orders. A daemon reads it
when it (re)connects, and when another says on ``faas.notice.pauses``, which is stored nowhere,
that there is something new. The notice follows the storing: an order that is heard of is kept.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.nats import NatsClient
from faasd_async.nats.errors import NatsError
from faasd_async.nats.jetstream import MessageNotFound, StreamInfo
from faasd_async.nats.wire import Message
from faasd_async.queue.interface import Source
from faasd_async.queue.jetstream.store import Store, queue_error
from faasd_async.queue.jetstream.subjects import (
    ALL_PAUSES,
    CONTROL,
    ForeignSubject,
    pause_subject,
    read_pause_subject,
)
from faasd_async.queue.paused import Paused

NOTICE = b"faas.notice.pauses"


class _Order(msgspec.Struct, frozen=True):
    """What is stored."""

    paused: bool


class JetStreamPauses(Paused):
    """See :class:`~faasd_async.queue.interface.Pauses`."""

    _log = Logger()

    def __init__(self, store: Store, client: NatsClient) -> None:
        super().__init__()
        self._store = store
        self._client = client
        self._orders: dict[Source, tuple[int, bool]] = {}
        self._created: datetime | None = None
        client.subscribe(NOTICE, self._noticed)

    def pause(self, source: Source) -> Deferred[None]:
        return Deferred.fromCoroutine(self._order(source, True))

    def resume(self, source: Source) -> Deferred[None]:
        return Deferred.fromCoroutine(self._order(source, False))

    async def _order(self, source: Source, paused: bool) -> None:
        order = msgspec.json.encode(_Order(paused))
        stored = await self._store.put(pause_subject(source), (), order)
        self._obey({source: (stored.sequence, paused)})
        try:
            self._client.publish(NOTICE, b"")
        except NatsError as reason:
            self._log.warn("other daemons have to look for pauses: {reason}", reason=reason)
        await self._store.when_durable()

    async def read(self) -> None:
        """Learn what is paused.

        :raises NatsError: it cannot be read now.
        """
        info = await self._store.jetstream.stream_info(CONTROL, subjects_filter=ALL_PAUSES)
        found: dict[Source, tuple[int, bool]] = {}
        for subject in info.state.subjects or {}:
            try:
                message = await self._store.jetstream.get_last_message(CONTROL, subject)
                order = msgspec.json.decode(message.payload, type=_Order)
                found[read_pause_subject(subject)] = (message.sequence, order.paused)
            except MessageNotFound:
                continue
            except (ForeignSubject, msgspec.MsgspecError) as reason:
                self._log.error(
                    "a pause cannot be read: {subject}: {reason}", subject=subject, reason=reason
                )
        self._forget(info)
        self._obey(found)

    def _forget(self, info: StreamInfo) -> None:
        """What was known and is not there any more counts no longer: the order was removed, or the
        stream was made anew, whose sequences begin again. What was stored since it was looked has
        a higher sequence, and stays."""
        if info.created != self._created:
            self._created = info.created
            self._orders.clear()
        last = info.state.last_seq
        self._orders = {each: order for each, order in self._orders.items() if order[0] > last}

    def _obey(self, orders: dict[Source, tuple[int, bool]]) -> None:
        """Whatever is newer than what was known counts."""
        for source, order in orders.items():
            if order[0] > self._orders.get(source, (0, False))[0]:
                self._orders[source] = order
        self.become(source for source, (_, paused) in self._orders.items() if paused)

    def _noticed(self, message: Message) -> None:
        Deferred.fromCoroutine(self.read()).addErrback(self._not_read)

    def _not_read(self, failure: Failure) -> None:
        # It is read again with the next connection.
        if not failure.check(CancelledError):
            self._log.warn("pauses cannot be read: {reason}", reason=queue_reason(failure))


def queue_reason(failure: Failure) -> str:
    error = failure.value
    return str(queue_error(error) if isinstance(error, NatsError) else error)
