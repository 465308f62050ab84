"""What is known of calls apart from the calls themselves: ``FAAS_OUTCOMES``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from twisted.internet.defer import Deferred

from faasd_async.call.ending import Ending
from faasd_async.call.history import History
from faasd_async.call.ids import CallKey
from faasd_async.call.request import QueueRequest
from faasd_async.errors import AlreadyStored, QueueUnavailable
from faasd_async.nats.errors import NatsError
from faasd_async.nats.jetstream import MessageNotFound, StoredMessage
from faasd_async.nats.wire import Headers, decode_headers
from faasd_async.queue.jetstream.store import Store, queue_error
from faasd_async.queue.jetstream.stored import (
    FromTheFuture,
    Message,
    Unreadable,
    accepted_fields,
    read_ending,
    read_history,
    write_ending,
    write_history,
)
from faasd_async.queue.jetstream.subjects import OUTCOMES, about_subject
from faasd_async.settings import ResultSettings

Record = TypeVar("Record")

#: A terminal record without a result is still needed for as long as its call may come again.
_RECORD_SECONDS = 24 * 3600

#: What was tried of a call is remembered this long after the last try.
_HISTORY_SECONDS = 48 * 3600

_FIRST_ALONE = (b"Nats-Expected-Last-Subject-Sequence", b"0")


class JetStreamRecords:
    """See :class:`~faasd_async.queue.interface.Records`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record_ending(
        self, request: QueueRequest, ending: Ending, keep: ResultSettings
    ) -> Deferred[bool]:
        return Deferred.fromCoroutine(self._record_ending(request, ending, keep))

    async def _record_ending(
        self, request: QueueRequest, ending: Ending, keep: ResultSettings
    ) -> bool:
        kept = keep.keep_seconds > 0 and len(ending.outcome.body) <= keep.max_bytes
        fields, payload = write_ending(ending, with_result=kept)
        seconds = round(keep.keep_seconds) if kept else _RECORD_SECONDS
        fields += [*accepted_fields(request), _FIRST_ALONE, _ttl(seconds)]
        subject = about_subject("outcome", request.function, request.key)
        try:
            await self._store.put(subject, fields, payload)
        except AlreadyStored:
            return False
        return True

    def find_ending(self, function: str, key: CallKey) -> Deferred[Ending | None]:
        return self._find(about_subject("outcome", function, key), read_ending)

    def note_history(self, request: QueueRequest, history: History) -> Deferred[None]:
        fields, payload = write_history(history)
        fields += [(b"Nats-Rollup", b"sub"), _ttl(_HISTORY_SECONDS)]
        subject = about_subject("attempt", request.function, request.key)
        return self._store.put(subject, fields, payload).addCallback(lambda _: None)

    def find_history(self, function: str, key: CallKey) -> Deferred[History | None]:
        return self._find(about_subject("attempt", function, key), read_history)

    def _find(self, subject: str, read: Callable[[Message], Record]) -> Deferred[Record | None]:
        return Deferred.fromCoroutine(self._look_up(subject, read))

    async def _look_up(self, subject: str, read: Callable[[Message], Record]) -> Record | None:
        try:
            found = await self._store.jetstream.get_last_message(OUTCOMES, subject)
        except MessageNotFound:
            return None
        except NatsError as reason:
            raise queue_error(reason) from reason
        try:
            return read(Found.of(found))
        except (FromTheFuture, Unreadable) as reason:
            raise QueueUnavailable(str(reason)) from reason


@dataclass(frozen=True, slots=True)
class Found:
    """A stored message as the readers of :mod:`.stored` want it."""

    subject: bytes
    headers: Headers
    payload: bytes

    @classmethod
    def of(cls, message: StoredMessage) -> Found:
        return cls(message.subject.encode(), decode_headers(message.header_block), message.payload)


def _ttl(seconds: int) -> tuple[bytes, bytes]:
    return b"Nats-TTL", b"%ds" % max(seconds, 1)
