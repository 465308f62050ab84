"""What is known of calls apart from the calls themselves: ``FAAS_OUTCOMES``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.call.body import is_stored
from faasd_async.call.ending import Ending, callback_url_of
from faasd_async.call.history import History
from faasd_async.call.ids import CallKey
from faasd_async.call.posting import Posting
from faasd_async.call.request import CallbackName, QueueRequest
from faasd_async.errors import AlreadyStored, QueueError, QueueUnavailable
from faasd_async.nats.errors import BadHeader, NatsError
from faasd_async.nats.jetstream import MessageNotFound, StoredMessage
from faasd_async.nats.wire import Headers, decode_headers, encode_headers
from faasd_async.queue.interface import told
from faasd_async.queue.jetstream.bodies import JetStreamBodies
from faasd_async.queue.jetstream.store import Store, queue_error
from faasd_async.queue.jetstream.stored.acceptance import accepted_fields
from faasd_async.queue.jetstream.stored.message import FromTheFuture, Message, Unreadable
from faasd_async.queue.jetstream.stored.records import (
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
from faasd_async.queue.kept import why_withheld
from faasd_async.settings import ResultSettings

Record = TypeVar("Record")

#: A terminal record is needed for as long as its call may come again, whatever is kept of the
#: answer: a daemon and a broker that are away for a night; and so many leases.
_RECORD_SECONDS = 24 * 3600
_RECORD_LEASES = 10

#: What was tried of a call is remembered this long after the last try.
_HISTORY_SECONDS = 48 * 3600

#: What was tried of a callback is remembered this long after the last try, which is longer than
#: any wait between two of them; that it was delivered, for as long as its call may come again.
_POSTING_SECONDS = 7 * 24 * 3600
_POSTED_SECONDS = _RECORD_SECONDS

#: What is noted of callbacks is mostly one of so many.
_REMEMBERED = 64

_FIRST_ALONE = (b"Nats-Expected-Last-Subject-Sequence", b"0")


class JetStreamRecords:
    """See :class:`~faasd_async.queue.interface.Records`.

    :param lease_seconds: how long a delivery may go without a sign of life.
    :param now_ns: the wall clock, Unix nanoseconds.
    :param orphaned: told that bodies may have lost their owners.
    """

    _log = Logger()

    def __init__(
        self,
        store: Store,
        *,
        lease_seconds: float,
        now_ns: Callable[[], int],
        bodies: JetStreamBodies,
        orphaned: Callable[[], None],
    ) -> None:
        self._store = store
        self._bodies = bodies
        self._orphaned = orphaned
        self._record_seconds = max(_RECORD_SECONDS, round(_RECORD_LEASES * lease_seconds))
        self._now_ns = now_ns

    def record_ending(
        self, request: QueueRequest, ending: Ending, keep: ResultSettings
    ) -> Deferred[bool]:
        return Deferred.fromCoroutine(self._record_ending(request, ending, keep))

    async def _record_ending(
        self, request: QueueRequest, ending: Ending, keep: ResultSettings
    ) -> bool:
        body = ending.outcome.body
        if not is_stored(body):
            return await self._put_ending(request, ending, keep)
        if self._is_shown(request, ending, keep):
            subject = about_subject("outcome", request.function, request.key)
            await self._bodies.own(body, ((OUTCOMES, subject),))
        # Held until this succeeds: what fails now is written again.
        first = await self._put_ending(request, ending, keep)
        self._bodies.keep(body)
        if not (first and self._is_shown(request, ending, keep)):
            # The record that stands may be this very one: the sweep looks.
            self._orphaned()
        return first

    def _is_shown(self, request: QueueRequest, ending: Ending, keep: ResultSettings) -> bool:
        owed = callback_url_of(request, ending) is not None
        return owed or why_withheld(keep, len(ending.outcome.body)) is None

    async def _put_ending(
        self, request: QueueRequest, ending: Ending, keep: ResultSettings
    ) -> bool:
        written = self._write_ending(request, ending, keep)
        while True:
            stored: Deferred[QueueError | None] = Deferred()
            self._store.put_then(*written, stored.callback)
            reason = await stored
            if reason is None:
                return True
            if not isinstance(reason, AlreadyStored):
                raise reason
            if not await self._remove_earlier(request):
                return False

    def record_ending_then(
        self,
        request: QueueRequest,
        ending: Ending,
        keep: ResultSettings,
        recorded: Callable[[bool | QueueError], None],
    ) -> None:
        def record() -> None:
            recording = self.record_ending(request, ending, keep)
            recording.addCallbacks(recorded, lambda failure: recorded(reason_of(failure)))

        def stored(reason: QueueError | None) -> None:
            if isinstance(reason, AlreadyStored):
                record()
            else:
                recorded(True if reason is None else reason)

        if type(ending.outcome.body) is not bytes:
            record()
            return
        self._store.put_then(*self._write_ending(request, ending, keep), stored)

    def _write_ending(
        self, request: QueueRequest, ending: Ending, keep: ResultSettings
    ) -> tuple[bytes, bytes, bytes]:
        """:return: subject, headers and payload."""
        withheld = why_withheld(keep, len(ending.outcome.body))
        kept = withheld is None
        owed = callback_url_of(request, ending) is not None
        seconds, kept_until_ns = self._record_seconds, 0
        if kept and keep.keep_seconds >= seconds:
            seconds = round(keep.keep_seconds)
        elif kept:
            kept_until_ns = ending.ended_ns + round(keep.keep_seconds * 1e9)
        fields, payload = write_ending(
            ending, with_result=kept or owed, withheld=withheld, kept_until_ns=kept_until_ns
        )
        fields += accepted_fields(request, callback_owed=owed)
        fields += written_in(request.generation)
        fields += [_FIRST_ALONE, _ttl(seconds)]
        subject = about_subject("outcome", request.function, request.key)
        return subject.encode(), encode_headers(fields), payload

    async def _remove_earlier(self, request: QueueRequest) -> bool:
        """Make room where a record stands that a replay has left behind, or none that anybody could
        read.

        :return: whether there is room now.
        """
        found = await self._last(about_subject("outcome", request.function, request.key))
        if found is None:
            return True
        if _is_end_of(found, request.generation):
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
        return self._find(about_subject("outcome", function, key), generation, self.read_ending)

    def read_ending(self, message: Message) -> Ending:
        """A terminal record, as it is to be seen now."""
        return read_ending(message, self._now_ns())

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
        return told(lambda noted: self.note_posting_then(name, posting, noted))

    def note_posting_then(
        self, name: CallbackName, posting: Posting, noted: Callable[[QueueError | None], None]
    ) -> None:
        header_block, payload = _written_posting(posting)
        self._store.put_then(posting_subject(name).encode(), header_block, payload, noted)

    def find_posting(self, name: CallbackName) -> Deferred[Posting | None]:
        return self._find(posting_subject(name), 0, read_posting)

    def forget(self, function: str, key: CallKey) -> Deferred[None]:
        return Deferred.fromCoroutine(self._forget(function, key))

    async def _forget(self, function: str, key: CallKey) -> None:
        try:
            for kind in ("outcome", "attempt"):
                subject = about_subject(kind, function, key)
                await self._store.jetstream.purge_stream(OUTCOMES, filter=subject)
            self._orphaned()
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
        try:
            found = Found.of(stored)
            return None if generation_of(found) < generation else read(found)
        except FromTheFuture as reason:
            raise QueueUnavailable(str(reason)) from reason
        except Unreadable as reason:
            # Nobody ever will: it is as if it were not there.
            self._log.error("a record that cannot be read is passed over: {reason}", reason=reason)
            return None

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
        """
        :raises Unreadable: its headers do not follow the grammar.
        """
        try:
            headers = decode_headers(message.header_block)
        except BadHeader as reason:
            raise Unreadable(f"{message.subject}: {reason}") from reason
        return cls(message.subject.encode(), headers, message.payload)


def _is_end_of(message: StoredMessage, generation: int) -> bool:
    """Whether a terminal record is one of this generation of its call, or of a later one."""
    try:
        found = Found.of(message)
        read_ending(found)
    except FromTheFuture:
        return True
    except Unreadable:
        return False
    return generation_of(found) >= generation


def reason_of(failure: Failure) -> QueueError:
    """Why something could not be stored or found."""
    reason = failure.value
    return reason if isinstance(reason, QueueError) else QueueUnavailable(repr(reason))


@lru_cache(_REMEMBERED)
def _written_posting(posting: Posting) -> tuple[bytes, bytes]:
    """Headers and payload: nearly all say that the first try was answered 200."""
    fields, payload = write_posting(posting)
    seconds = _POSTED_SECONDS if posting.over else _POSTING_SECONDS
    return encode_headers([*fields, (b"Nats-Rollup", b"sub"), _ttl(seconds)]), payload


def _ttl(seconds: int) -> tuple[bytes, bytes]:
    return b"Nats-TTL", b"%ds" % max(seconds, 1)
