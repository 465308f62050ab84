"""What is known of calls apart from the calls themselves: ``FAAS_OUTCOMES``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from twisted.internet.defer import Deferred

from faasd_async.call.ending import Ending, callback_url_of
from faasd_async.call.history import History
from faasd_async.call.ids import CallKey
from faasd_async.call.posting import Posting
from faasd_async.call.request import CallbackName, QueueRequest
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
    generation_of,
    read_ending,
    read_history,
    read_posting,
    write_ending,
    write_history,
    write_posting,
    written_in,
)
from faasd_async.queue.jetstream.subjects import OUTCOMES, about_subject, posting_subject
from faasd_async.settings import ResultSettings

Record = TypeVar("Record")

#: A terminal record without a result is still needed for as long as its call may come again.
_RECORD_SECONDS = 24 * 3600

#: What was tried of a call is remembered this long after the last try.
_HISTORY_SECONDS = 48 * 3600

#: What was tried of a callback is remembered this long after the last try, which is longer than
#: any wait between two of them; that it was delivered, for as long as its call may come again.
_POSTING_SECONDS = 7 * 24 * 3600
_POSTED_SECONDS = _RECORD_SECONDS

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
        owed = callback_url_of(request, ending) is not None
        fields, payload = write_ending(ending, with_result=kept or owed, is_private=not kept)
        seconds = round(keep.keep_seconds) if kept else _RECORD_SECONDS
        fields += accepted_fields(request, callback_owed=owed)
        fields += written_in(request.generation)
        fields += [_FIRST_ALONE, _ttl(seconds)]
        subject = about_subject("outcome", request.function, request.key)
        while True:
            try:
                await self._store.put(subject, fields, payload)
            except AlreadyStored:
                if not await self._remove_earlier(subject, request.generation):
                    return False
            else:
                return True

    async def _remove_earlier(self, subject: str, generation: int) -> bool:
        """Make room where a record stands that a replay has left behind.

        :return: whether there is room now.
        """
        found = await self._last(subject)
        if found is None:
            return True
        if generation_of(Found.of(found)) >= generation:
            return False
        try:
            await self._store.jetstream.delete_message(OUTCOMES, found.sequence)
        except MessageNotFound:
            pass
        except NatsError as reason:
            raise queue_error(reason) from reason
        return True

    def find_ending(
        self, function: str, key: CallKey, generation: int = 0
    ) -> Deferred[Ending | None]:
        return self._find(about_subject("outcome", function, key), generation, read_ending)

    def note_history(self, request: QueueRequest, history: History) -> Deferred[None]:
        fields, payload = write_history(history)
        fields += written_in(request.generation)
        fields += [(b"Nats-Rollup", b"sub"), _ttl(_HISTORY_SECONDS)]
        subject = about_subject("attempt", request.function, request.key)
        return self._store.put(subject, fields, payload).addCallback(lambda _: None)

    def find_history(
        self, function: str, key: CallKey, generation: int = 0
    ) -> Deferred[History | None]:
        return self._find(about_subject("attempt", function, key), generation, read_history)

    def note_posting(self, name: CallbackName, posting: Posting) -> Deferred[None]:
        fields, payload = write_posting(posting)
        seconds = _POSTED_SECONDS if posting.over else _POSTING_SECONDS
        fields += [(b"Nats-Rollup", b"sub"), _ttl(seconds)]
        return self._store.put(posting_subject(name), fields, payload).addCallback(lambda _: None)

    def find_posting(self, name: CallbackName) -> Deferred[Posting | None]:
        return self._find(posting_subject(name), 0, read_posting)

    def forget(self, function: str, key: CallKey) -> Deferred[None]:
        return Deferred.fromCoroutine(self._forget(function, key))

    async def _forget(self, function: str, key: CallKey) -> None:
        try:
            for kind in ("outcome", "attempt"):
                subject = about_subject(kind, function, key)
                await self._store.jetstream.purge_stream(OUTCOMES, filter=subject)
        except NatsError as reason:
            raise queue_error(reason) from reason

    def _find(
        self, subject: str, generation: int, read: Callable[[Message], Record]
    ) -> Deferred[Record | None]:
        return Deferred.fromCoroutine(self._look_up(subject, generation, read))

    async def _look_up(
        self, subject: str, generation: int, read: Callable[[Message], Record]
    ) -> Record | None:
        stored = await self._last(subject)
        if stored is None:
            return None
        found = Found.of(stored)
        if generation_of(found) < generation:
            return None
        try:
            return read(found)
        except (FromTheFuture, Unreadable) as reason:
            raise QueueUnavailable(str(reason)) from reason

    async def _last(self, subject: str) -> StoredMessage | None:
        try:
            return await self._store.jetstream.get_last_message(OUTCOMES, subject)
        except MessageNotFound:
            return None
        except NatsError as reason:
            raise queue_error(reason) from reason


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
