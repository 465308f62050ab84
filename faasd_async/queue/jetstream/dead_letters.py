"""Dead letters: ``FAAS_DEAD``."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from faasd_async.call.body import Body, is_stored
from faasd_async.call.ending import DeadCallback, DeadLetter, Kind, Letter, SealedLetter
from faasd_async.call.ids import CallKey
from faasd_async.errors import BodyGone, QueueError
from faasd_async.nats.errors import BadHeader, NatsError
from faasd_async.nats.jetstream import MessageNotFound, StoredMessage
from faasd_async.queue.interface import Filed, Page, Selection
from faasd_async.queue.jetstream.bodies import JetStreamBodies
from faasd_async.queue.jetstream.records import Found
from faasd_async.queue.jetstream.store import Store, queue_error
from faasd_async.queue.jetstream.stored.dead_letters import (
    read_dead_callback,
    read_dead_letter,
    read_unreadable,
    write_dead_callback,
    write_dead_letter,
    write_unreadable,
)
from faasd_async.queue.jetstream.stored.message import FromTheFuture, Unreadable
from faasd_async.queue.jetstream.subjects import (
    DEAD,
    DEAD_CALLBACK,
    dead_callback_subject,
    dead_letters_like,
    queued_subject,
    read_queued_subject,
)

#: What is held of letters at a time: a page of large ones is shorter than was asked for.
PAGE_BYTES = 16 * 2**20

#: The smallest batch that is worth a request.
_BATCH = 100


class JetStreamDeadLetters:
    """See :class:`~faasd_async.queue.interface.DeadLetters`.

    :param orphaned: told that bodies may have lost their owners.
    """

    _log = Logger()

    def __init__(self, store: Store, bodies: JetStreamBodies, orphaned: Callable[[], None]) -> None:
        self._store = store
        self._bodies = bodies
        self._orphaned = orphaned

    def put(self, letter: DeadLetter) -> Deferred[None]:
        request = letter.request
        if is_stored(request.body):
            return Deferred.fromCoroutine(self._put_with_body(letter, request.body))
        return self._put(letter)

    async def _put_with_body(self, letter: DeadLetter, body: Body) -> None:
        request = letter.request
        place = queued_subject("dead", request.queue, request.function, request.key)
        beside = await self._bring(body, place)
        if beside is not None:
            letter = replace(letter, request=replace(request, body=beside))
            await self._put_owner(beside, self._put(letter))

    def put_callback(self, letter: DeadCallback) -> Deferred[None]:
        if is_stored(letter.callback.body):
            return Deferred.fromCoroutine(
                self._put_callback_with_body(letter, letter.callback.body)
            )
        return self._put_callback(letter)

    async def _put_callback_with_body(self, letter: DeadCallback, body: Body) -> None:
        callback = letter.callback
        place = dead_callback_subject(callback.function, callback.key)
        beside = await self._bring(body, place)
        if beside is not None:
            letter = replace(letter, callback=replace(callback, body=beside))
            await self._put_owner(beside, self._put_callback(letter))

    async def _bring(self, body: Body, subject: str) -> Body | None:
        """Have a letter's body beside it.

        A letter that is put a second time, after a crash, may find that its body is there already
        and nowhere else.

        :return: ``None`` if the letter is there.
        """
        try:
            return await self._bodies.bring("dead", body, ((DEAD, subject),))
        except BodyGone as reason:
            try:
                await self._store.jetstream.get_last_message(DEAD, subject)
            except MessageNotFound:
                self._log.error("a dead letter is kept without its body: {reason}", reason=reason)
                return b""
            except NatsError as error:
                raise queue_error(error) from error
            return None

    async def _put_owner(self, body: Body, putting: Deferred[None]) -> None:
        try:
            await putting
        except QueueError as reason:
            self._bodies.put(body, reason)
            raise
        self._bodies.keep(body)
        # There may have been an earlier letter of the same call.
        self._orphaned()

    def _put(self, letter: DeadLetter) -> Deferred[None]:
        request = letter.request
        subject = queued_subject("dead", request.queue, request.function, request.key)
        return self._store.put(subject, *write_dead_letter(letter)).addCallback(lambda _: None)

    def _put_callback(self, letter: DeadCallback) -> Deferred[None]:
        subject = dead_callback_subject(letter.callback.function, letter.callback.key)
        return self._store.put(subject, *write_dead_callback(letter)).addCallback(lambda _: None)

    def put_unreadable(
        self, kind: Kind, name: tuple[str, str, CallKey], message: bytes, why: str, now_ns: int
    ) -> Deferred[None]:
        """Keep something that cannot be read.

        :param name: queue, function and key.
        :param message: all of it.
        """
        _, function, key = name
        subject = (
            queued_subject("dead", *name)
            if kind == "call"
            else dead_callback_subject(function, key)
        )
        fields = write_unreadable(why, now_ns)
        return self._store.put(subject, fields, message).addCallback(lambda _: None)

    def look_through(self, selection: Selection, after: int, limit: int) -> Deferred[Page]:
        return Deferred.fromCoroutine(self._look_through(selection, after, limit))

    async def _look_through(self, selection: Selection, after: int, limit: int) -> Page:
        subject = dead_letters_like(selection)
        page: list[Filed] = []
        room_bytes = PAGE_BYTES
        while True:
            count = limit - len(page) if selection.reason is None else max(limit, _BATCH)
            try:
                messages, pending = await self._store.jetstream.get_messages(
                    DEAD, subject, after + 1, count=count, max_bytes=room_bytes
                )
            except NatsError as reason:
                raise queue_error(reason) from reason
            for message in messages:
                after = message.sequence
                room_bytes -= _size(message)
                filed = Filed(after, _read(message))
                if selection.reason in (None, filed.letter.reason):
                    page.append(filed)
                if len(page) == limit:
                    break
            if not pending and (not messages or after == messages[-1].sequence):
                return Page(page, None)
            if len(page) == limit or room_bytes <= 0:
                return Page(page, after)

    def newest(self) -> Deferred[int]:
        return Deferred.fromCoroutine(self._newest())

    async def _newest(self) -> int:
        try:
            return (await self._store.jetstream.stream_info(DEAD)).state.last_seq
        except NatsError as reason:
            raise queue_error(reason) from reason

    def remove(self, place: int) -> Deferred[bool]:
        return Deferred.fromCoroutine(self._remove(place))

    async def _remove(self, place: int) -> bool:
        try:
            await self._store.jetstream.delete_message(DEAD, place)
        except MessageNotFound:
            return False
        except NatsError as reason:
            raise queue_error(reason) from reason
        self._orphaned()
        return True

    def purge(self, selection: Selection) -> Deferred[int]:
        return Deferred.fromCoroutine(self._purge(selection))

    async def _purge(self, selection: Selection) -> int:
        if selection.reason is not None:
            return await self._remove_one_by_one(selection)
        try:
            purged = await self._store.jetstream.purge_stream(
                DEAD, filter=dead_letters_like(selection)
            )
        except NatsError as reason:
            raise queue_error(reason) from reason
        self._orphaned()
        return purged

    async def _remove_one_by_one(self, selection: Selection) -> int:
        """The reason does not stand in the subject."""
        newest = await self._newest()
        after: int | None = 0
        removed = 0
        while after is not None and after < newest:
            page = await self._look_through(selection, after, _BATCH)
            for filed in page.letters:
                if filed.place <= newest:
                    removed += await self._remove(filed.place)
            after = page.next
        return removed


def _read(message: StoredMessage) -> Letter:
    """A letter as it was stored, or what can be told of one that cannot be read."""
    is_callback = message.subject.split(".")[1] == DEAD_CALLBACK
    try:
        found = Found.of(message)
        why = read_unreadable(found)
        if why is None:
            return read_dead_callback(found) if is_callback else read_dead_letter(found)
        content = message.payload
    except (FromTheFuture, Unreadable, BadHeader) as reason:
        why, content = str(reason), message.header_block + message.payload
    _, function, key = read_queued_subject(message.subject)
    return SealedLetter("callback" if is_callback else "call", function, key, why, content)


def _size(message: StoredMessage) -> int:
    return len(message.header_block) + len(message.payload)
