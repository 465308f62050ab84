"""Calls that may be put twice and are stored once.

A call that was accepted before lies in one of the streams, on its way from the first to the last:
they are looked through in that order. A call that moves on meanwhile is met further down; one that
moves back (its wait is over) is met by the publish itself, which the broker takes only if nothing
lies in ``FAAS_CALLS`` under the same key. And if a call came to its end between the look and the
publish, the worker finds its terminal record, as it does for every call of this kind.

A call that its caller put off is published to ``FAAS_LATER``, which likewise takes only one under a
key. It may meet the same call, sent without a delay and on its way into ``FAAS_CALLS``: so it is
looked once more after the publish, and what was put off is taken back if something is found. What
slips through that as well is met when it falls due (:mod:`.later`).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from faasd_async.call.body import Body
from faasd_async.call.ids import encode_token
from faasd_async.call.once import Repeatable, repeatable
from faasd_async.call.request import QueueRequest
from faasd_async.errors import AlreadyStored, QueueError, QueueUnavailable
from faasd_async.nats.errors import NatsError
from faasd_async.nats.jetstream import MessageNotFound
from faasd_async.queue.interface import Accepted
from faasd_async.queue.jetstream.later import Later
from faasd_async.queue.jetstream.records import Found
from faasd_async.queue.jetstream.store import Store, queue_error
from faasd_async.queue.jetstream.stored.acceptance import read_accepted
from faasd_async.queue.jetstream.stored.calls import write_request
from faasd_async.queue.jetstream.stored.message import FromTheFuture, Unreadable
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
    """See :class:`~faasd_async.queue.interface.KeyedCalls`.

    :ivar later: where calls are put off.
    """

    _log = Logger()

    later: Later

    def __init__(self, store: Store) -> None:
        self._store = store
        self._secret: bytes | None = None

    async def agree(self) -> None:
        """Have the secret that all daemons of this installation share: the first one draws it.
        Where the stream was made anew, the first who has it still puts it there.

        It is on the disk before the first call is promised that it names: the barrier covers
        all that was written before.

        :raises QueueError, NatsError: it cannot be had now.
        """
        secret = self._secret or secrets.token_bytes(_SECRET_BYTES)
        only_first = [(b"Nats-Expected-Last-Subject-Sequence", b"0")]
        try:
            await self._store.put(SECRET, only_first, secret)
        except AlreadyStored:
            secret = (await self._store.jetstream.get_last_message(CONTROL, SECRET)).payload
        self._secret = secret

    def name(self, function: str, key: bytes, target: bytes, body: Body) -> Repeatable:
        if self._secret is None:
            raise QueueUnavailable("the queue has not been reached yet")
        return repeatable(self._secret, function, key, target, body)

    def put(self, request: QueueRequest, delay_seconds: float = 0.0) -> Deferred[Accepted | None]:
        return Deferred.fromCoroutine(self._put(request, delay_seconds))

    async def _put(self, request: QueueRequest, delay_seconds: float) -> Accepted | None:
        for _ in range(_LOOKS):
            earlier = await self._find(request, _PLACES)
            if earlier is not None:
                await self._store.when_durable()
                return earlier
            try:
                if delay_seconds:
                    return await self._put_off(request, delay_seconds)
                await self.put_only(request)
            except AlreadyStored:
                continue
            return None
        raise QueueUnavailable("the call is on the move; ask again")

    async def _put_off(self, request: QueueRequest, delay_seconds: float) -> Accepted | None:
        same = f"faas.*.*.{encode_token(request.function)}.*.{request.key.accept}"
        await self.later.put(request, delay_seconds, _none_like(same))
        elsewhere = [place for place in _PLACES if place[0] != LATER]
        earlier = await self._find(request, elsewhere)
        if earlier is None or earlier.start_time_ns == request.start_time_ns:
            # Nothing, or this very call, whose time has come.
            return None
        own = queued_subject("later", request.queue, request.function, request.key)
        await self._store.jetstream.purge_stream(LATER, filter=own)
        await self._store.when_durable()
        return earlier

    async def _find(
        self, request: QueueRequest, places: Sequence[tuple[str, str]]
    ) -> Accepted | None:
        function, accept = encode_token(request.function), request.key.accept
        for stream, kind in places:
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
            except FromTheFuture as reason:
                raise QueueUnavailable(str(reason)) from reason
            except Unreadable as reason:
                self._log.error("passed over in {stream}: {reason}", stream=stream, reason=reason)
        return None

    def put_only(self, request: QueueRequest) -> Deferred[None]:
        """Put a call, if none waits to be taken under its key.

        :return: fails with :class:`~faasd_async.errors.AlreadyStored` if one does.
        """
        fields, payload = write_request(request)
        same = f"faas.call.*.{encode_token(request.function)}.*.{request.key.accept}"
        fields += _none_like(same)
        subject = queued_subject("call", request.queue, request.function, request.key)
        return self._store.put_durably(subject, fields, payload)


def _none_like(subjects: str) -> list[tuple[bytes, bytes]]:
    """Have the broker take a message only if it has none with such a subject."""
    return [
        (b"Nats-Expected-Last-Subject-Sequence", b"0"),
        (b"Nats-Expected-Last-Subject-Sequence-Subject", subjects.encode()),
    ]


def _not_stored(reason: QueueError) -> QueueUnavailable:
    """A look that failed left nothing in doubt."""
    return QueueUnavailable(str(reason))
