"""The backlog: how many calls there are, and how they are removed.

Counting messages by subject costs the broker as much as there are messages, for every call has a
subject of its own. Consumers know their numbers without counting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.logger import Logger

from faasd_async.call.body import is_stored
from faasd_async.call.request import QueueRequest
from faasd_async.errors import QueueUnavailable
from faasd_async.nats.errors import NatsError
from faasd_async.nats.jetstream import ConsumerNotFound, MessageNotFound
from faasd_async.queue.interface import Depth, OfFunction, OfQueue, Source, Waiting
from faasd_async.queue.jetstream.bodies import JetStreamBodies
from faasd_async.queue.jetstream.records import Found
from faasd_async.queue.jetstream.store import Store, queue_error
from faasd_async.queue.jetstream.stored.calls import read_request
from faasd_async.queue.jetstream.stored.message import FromTheFuture, Unreadable
from faasd_async.queue.jetstream.subjects import (
    CALLS,
    LATER,
    ForeignSubject,
    consumer_of,
    filter_of,
    queued_subject,
    read_queued_subject,
    source_of,
)

#: In a stream of more messages none are counted one by one.
MOST_COUNTED = 10_000

#: What is read of calls in one go.
_LOOK_BYTES = 2**20

T = TypeVar("T")


class JetStreamBacklog:
    """See :class:`~faasd_async.queue.interface.Backlog`.

    :param orphaned: told that bodies may have lost their owners.
    """

    _log = Logger()

    def __init__(self, store: Store, bodies: JetStreamBodies, orphaned: Callable[[], None]) -> None:
        self._store = store
        self._bodies = bodies
        self._orphaned = orphaned

    def look_through(
        self, source: Source, after: int, limit: int
    ) -> Deferred[tuple[Sequence[Waiting], int]]:
        return Deferred.fromCoroutine(self._look_through(source, after, limit))

    async def _look_through(
        self, source: Source, after: int, limit: int
    ) -> tuple[Sequence[Waiting], int]:
        jetstream = self._store.jetstream
        try:
            # What is handed out after this was not when it is looked at.
            handed_out = (await jetstream.consumer_info(CALLS, consumer_of(source))).delivered
            messages, pending = await jetstream.get_messages(
                CALLS, filter_of(source), after + 1, count=limit, max_bytes=_LOOK_BYTES
            )
        except ConsumerNotFound:
            return [], 0
        except NatsError as reason:
            raise queue_error(reason) from reason
        found = []
        for message in messages:
            try:
                request = read_request(Found.of(message))
            except (FromTheFuture, Unreadable):
                continue
            found.append(Waiting(request, message.sequence <= handed_out.stream_seq))
        return found, messages[-1].sequence if messages and pending else 0

    def depths(self, sources: Sequence[Source]) -> Deferred[Sequence[Depth]]:
        return Deferred.fromCoroutine(_of_each(self._depth, sources))

    async def _depth(self, source: Source) -> Depth:
        try:
            info = await self._store.jetstream.consumer_info(CALLS, consumer_of(source))
        except ConsumerNotFound:
            # Nobody has taken any of them yet.
            return Depth(await self._count(CALLS, filter_of(source)), 0)
        except NatsError as reason:
            raise queue_error(reason) from reason
        return Depth(info.num_pending, info.num_ack_pending)

    async def _count(self, stream: str, subjects: str) -> int:
        found = await self._subjects(stream, subjects)
        if found is None:
            raise QueueUnavailable(f"too many calls to be counted are in {stream}")
        return len(found)

    async def _subjects(self, stream: str, subjects: str) -> Collection[str] | None:
        """Those of a stream's messages; ``None`` if there are too many in it."""
        jetstream = self._store.jetstream
        try:
            if (await jetstream.stream_info(stream)).state.messages > MOST_COUNTED:
                return None
            info = await jetstream.stream_info(stream, subjects_filter=subjects)
        except NatsError as reason:
            raise queue_error(reason) from reason
        return info.state.subjects or ()

    def scheduled(self) -> Deferred[Mapping[tuple[str, str], int] | None]:
        return Deferred.fromCoroutine(self._scheduled())

    async def _scheduled(self) -> Mapping[tuple[str, str], int] | None:
        found = await self._subjects(LATER, "faas.later.>")
        if found is None:
            return None
        counted: Counter[tuple[str, str]] = Counter()
        for subject in found:
            try:
                counted[read_queued_subject(subject)[:2]] += 1
            except ForeignSubject:
                self._log.error("a foreign subject is passed over: {subject}", subject=subject)
        return counted

    def oldest_ns(self, sources: Sequence[Source]) -> Deferred[Sequence[int | None]]:
        return Deferred.fromCoroutine(_of_each(self._oldest_ns, sources))

    async def _oldest_ns(self, source: Source) -> int | None:
        try:
            first = await self._store.jetstream.get_next_message(CALLS, filter_of(source), 1)
        except MessageNotFound:
            return None
        except NatsError as reason:
            raise queue_error(reason) from reason
        return round(first.time.timestamp() * 1e9)

    def deserted(self, taken: Collection[Source]) -> Deferred[Sequence[Source]]:
        return Deferred.fromCoroutine(self._deserted(taken))

    async def _deserted(self, taken: Collection[Source]) -> Sequence[Source]:
        """A consumer outlives its function's deployment. That there is a call of which no
        consumer knows is rare: then it is looked through the calls themselves."""
        jetstream = self._store.jetstream
        known, deserted, counted = set(taken), [], 0
        try:
            for name in await jetstream.consumer_names(CALLS):
                source = source_of(name)
                if source is None:
                    continue
                info = await jetstream.consumer_info(CALLS, name)
                calls = info.num_pending + info.num_ack_pending
                counted += calls
                if calls and not info.num_waiting and source not in taken:
                    deserted.append(source)
                known.add(source)
            messages = (await jetstream.stream_info(CALLS)).state.messages
            if counted < messages <= MOST_COUNTED:
                found = await jetstream.stream_info(CALLS, subjects_filter="faas.call.>")
                deserted += _unknown(found.state.subjects or (), known)
        except NatsError as reason:
            raise queue_error(reason) from reason
        return deserted

    def holds(self, request: QueueRequest) -> Deferred[bool]:
        return Deferred.fromCoroutine(self._holds(request))

    async def _holds(self, request: QueueRequest) -> bool:
        subject = queued_subject("call", request.queue, request.function, request.key)
        try:
            info = await self._store.jetstream.stream_info(CALLS, subjects_filter=subject)
        except NatsError as reason:
            raise queue_error(reason) from reason
        return bool(info.state.subjects)

    def remove(self, request: QueueRequest) -> Deferred[None]:
        return Deferred.fromCoroutine(self._remove(request))

    async def _remove(self, request: QueueRequest) -> None:
        """From where it may fall due first, as :meth:`_purge`."""
        names = (request.queue, request.function, request.key)
        try:
            for stream, kind in ((LATER, "later"), (LATER, "due"), (CALLS, "call")):
                await self._store.remove(stream, queued_subject(kind, *names))
        except NatsError as reason:
            raise queue_error(reason) from reason
        if is_stored(request.body):
            self._bodies.discard(request.body)

    def purge(self, source: Source) -> Deferred[int]:
        return Deferred.fromCoroutine(self._purge(source))

    async def _purge(self, source: Source) -> int:
        """What falls due meanwhile is moved into ``FAAS_CALLS``: so that comes last."""
        purged = 0
        try:
            for stream, kind in ((LATER, "later"), (LATER, "due"), (CALLS, "call")):
                purged += await self._store.jetstream.purge_stream(
                    stream, filter=filter_of(source, kind)
                )
        except NatsError as reason:
            raise queue_error(reason) from reason
        self._orphaned()
        return purged


def _unknown(subjects: Collection[str], known: Collection[Source]) -> list[Source]:
    """The sources of calls that belong to none of the known ones."""
    static = any(isinstance(source, OfQueue) for source in known)
    found: dict[Source, None] = {}
    for subject in subjects:
        try:
            queue, function, _ = read_queued_subject(subject)
        except ForeignSubject:
            continue
        if OfFunction(function) not in known and OfQueue(queue) not in known:
            found[OfQueue(queue) if static else OfFunction(function)] = None
    return list(found)


async def _of_each(
    ask: Callable[[Source], Coroutine[Deferred[Any], Any, T]], sources: Sequence[Source]
) -> Sequence[T]:
    """Ask for all of them at once."""
    asked = [Deferred.fromCoroutine(ask(source)) for source in sources]
    try:
        return await gatherResults(asked, consumeErrors=True)
    except FirstError as reason:
        raise (reason.subFailure.value or reason) from reason
