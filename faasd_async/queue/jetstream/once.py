"""Calls that may be put twice and are stored once.

A call that was accepted before lies in one of the streams, on its way from the first to the last:
they are looked through in that order. A call that moves on meanwhile is met further down; one that
moves back (its wait is over) is met by the publish itself, which the broker takes only if nothing
lies in ``FAAS_CALLS`` under the same key. And if a call came to its end between the look and the
publish, the worker finds its terminal record, as it does for every call of this kind.
"""

from __future__ import annotations

import secrets

from twisted.internet.defer import Deferred

from faasd_async.call.ids import encode_token
from faasd_async.call.once import Repeatable, repeatable
from faasd_async.call.request import QueueRequest
from faasd_async.errors import AlreadyStored, QueueError, QueueUnavailable
from faasd_async.nats.errors import NatsError
from faasd_async.nats.jetstream import MessageNotFound
from faasd_async.queue.interface import Accepted
from faasd_async.queue.jetstream.records import Found
from faasd_async.queue.jetstream.store import Store, queue_error
from faasd_async.queue.jetstream.stored import (
    FromTheFuture,
    Unreadable,
    read_accepted,
    write_request,
)
from faasd_async.queue.jetstream.subjects import (
    CALLS,
    CONTROL,
    DEAD,
    LATER,
    OUTCOMES,
    SECRET,
    queued_subject,
)

_SECRET_BYTES = 32

#: Each look that finds nothing after a publish that met something: the call moved in between.
_LOOKS = 3

#: Where a call may lie, in the order in which it passes, with the tokens before its function.
_PLACES = (
    (CALLS, "faas.call.*"),
    (LATER, "faas.later.*"),
    (LATER, "faas.due.*"),
    (OUTCOMES, "faas.outcome"),
    (DEAD, "faas.dead.*"),
)


class JetStreamKeyedCalls:
    """See :class:`~faasd_async.queue.interface.KeyedCalls`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._secret: bytes | None = None

    async def agree(self) -> None:
        """Have the secret that all daemons of this installation share: the first one draws it.

        It is on the disk before the first call is promised that it names: the barrier covers
        all that was written before.

        :raises QueueError, NatsError: it cannot be had now.
        """
        if self._secret is None:
            drawn = secrets.token_bytes(_SECRET_BYTES)
            only_first = [(b"Nats-Expected-Last-Subject-Sequence", b"0")]
            try:
                await self._store.put(SECRET, only_first, drawn)
            except AlreadyStored:
                drawn = (await self._store.jetstream.get_last_message(CONTROL, SECRET)).payload
            self._secret = drawn

    def name(self, function: str, key: bytes, target: bytes, body: bytes) -> Repeatable:
        if self._secret is None:
            raise QueueUnavailable("the queue has not been reached yet")
        return repeatable(self._secret, function, key, target, body)

    def put(self, request: QueueRequest) -> Deferred[Accepted | None]:
        return Deferred.fromCoroutine(self._put(request))

    async def _put(self, request: QueueRequest) -> Accepted | None:
        for _ in range(_LOOKS):
            earlier = await self._find(request)
            if earlier is not None:
                await self._store.when_durable()
                return earlier
            try:
                await self._publish(request)
            except AlreadyStored:
                continue
            return None
        raise QueueUnavailable("the call is on the move; ask again")

    async def _find(self, request: QueueRequest) -> Accepted | None:
        function, accept = encode_token(request.function), request.key.accept
        for stream, kind in _PLACES:
            try:
                found = await self._store.jetstream.get_last_message(
                    stream, f"{kind}.{function}.*.{accept}"
                )
            except MessageNotFound:
                continue
            except NatsError as reason:
                raise _not_stored(queue_error(reason)) from reason
            try:
                return read_accepted(Found.of(found))
            except (FromTheFuture, Unreadable) as reason:
                raise QueueUnavailable(str(reason)) from reason
        return None

    def _publish(self, request: QueueRequest) -> Deferred[None]:
        fields, payload = write_request(request)
        same = f"faas.call.*.{encode_token(request.function)}.*.{request.key.accept}"
        fields += [
            (b"Nats-Expected-Last-Subject-Sequence", b"0"),
            (b"Nats-Expected-Last-Subject-Sequence-Subject", same.encode()),
        ]
        subject = queued_subject("call", request.queue, request.function, request.key)
        return self._store.put_durably(subject, fields, payload)


def _not_stored(reason: QueueError) -> QueueUnavailable:
    """A look that failed left nothing in doubt."""
    return QueueUnavailable(str(reason))
