"""Dead letters: ``FAAS_DEAD``."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from faasd_async.call.ending import DeadLetter
from faasd_async.nats.errors import NatsError
from faasd_async.nats.jetstream import MessageNotFound
from faasd_async.queue.jetstream.records import Found
from faasd_async.queue.jetstream.store import Store, queue_error
from faasd_async.queue.jetstream.stored import read_dead_letter, write_dead_letter
from faasd_async.queue.jetstream.subjects import (
    DEAD,
    dead_letters_of,
    dead_letters_of_function,
    queued_subject,
)


class JetStreamDeadLetters:
    """See :class:`~faasd_async.queue.interface.DeadLetters`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, letter: DeadLetter) -> Deferred[None]:
        fields, payload = write_dead_letter(letter)
        return self._store.put(_subject(letter), fields, payload).addCallback(lambda _: None)

    def find(self, call_id: str) -> Deferred[Sequence[DeadLetter]]:
        return Deferred.fromCoroutine(self._find(call_id))

    async def _find(self, call_id: str) -> Sequence[DeadLetter]:
        jetstream = self._store.jetstream
        try:
            info = await jetstream.stream_info(DEAD, subjects_filter=dead_letters_of(call_id))
            subjects = sorted(info.state.subjects or {})
            found = [await jetstream.get_last_message(DEAD, subject) for subject in subjects]
        except NatsError as reason:
            raise queue_error(reason) from reason
        return [read_dead_letter(Found.of(message)) for message in found]

    def look_through(
        self, function: str | None, after: int, limit: int
    ) -> Deferred[Sequence[tuple[int, DeadLetter]]]:
        return Deferred.fromCoroutine(self._look_through(function, after, limit))

    async def _look_through(
        self, function: str | None, after: int, limit: int
    ) -> Sequence[tuple[int, DeadLetter]]:
        subject = "faas.dead.>" if function is None else dead_letters_of_function(function)
        page: list[tuple[int, DeadLetter]] = []
        try:
            while len(page) < limit:
                message = await self._store.jetstream.get_next_message(DEAD, subject, after + 1)
                after = message.sequence
                page.append((after, read_dead_letter(Found.of(message))))
        except MessageNotFound:
            return page
        except NatsError as reason:
            raise queue_error(reason) from reason
        return page

    def remove(self, letter: DeadLetter) -> Deferred[None]:
        return Deferred.fromCoroutine(self._remove(letter))

    async def _remove(self, letter: DeadLetter) -> None:
        try:
            await self._store.jetstream.purge_stream(DEAD, filter=_subject(letter))
        except NatsError as reason:
            raise queue_error(reason) from reason


def _subject(letter: DeadLetter) -> str:
    request = letter.request
    return queued_subject("dead", request.queue, request.function, request.key)
