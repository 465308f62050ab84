"""Bodies that are too large for one message, in pieces beside the messages they belong to.

The pieces lie in the stream of their owner, on subjects of their own: so they count against its
quota and grow old with it, and a broker that is full refuses them as it refuses calls. Each body
has one owner: what goes into another stream (a callback, a dead letter) takes a copy along. The
owner is noted before its message is written, which names the body in turn. So whatever a crash cuts
short leaves a body whose owner is not there, and :mod:`.body_sweep` finds it.

Nothing here waits for the disk: what is stored before a call is on it when the call is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from secrets import token_hex
from typing import cast

import msgspec
from msgspec.structs import replace
from twisted.internet.defer import Deferred, DeferredSemaphore, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.call.body import Body, StoredBody, is_stored
from faasd_async.call.request import QueueRequest
from faasd_async.errors import (
    AlreadyStored,
    BodyGone,
    CallTooLarge,
    NoSchedules,
    QueueError,
    QueueFull,
    QueueUnavailable,
)
from faasd_async.nats.errors import NatsError
from faasd_async.queue.bodies import BodyKind, Pace
from faasd_async.queue.jetstream.intake import AGAIN_SECONDS, StoreIntake
from faasd_async.queue.jetstream.store import Store, queue_error
from faasd_async.queue.jetstream.subjects import (
    BODY_STREAMS,
    CALLS,
    LATER,
    ForeignSubject,
    body_kind,
    body_name,
    owner_subject,
    piece_subject,
    queued_subject,
)

#: How large a piece is, if the broker takes so much.
PIECE_BYTES = 128 * 1024

#: How many pieces are on their way to the broker at a time, those of all bodies together.
_PIECES_UNDER_WAY = 32

#: How many pieces are asked for at a time.
_READ_PIECES = 2

#: How many bodies may be on their way in.
_MOST_HELD = 1000

#: By these it is certain that a message was not put. Where it is not, the sweep will find out.
_SURELY_NOT_PUT = (AlreadyStored, CallTooLarge, NoSchedules, QueueFull)

#: Streams, each with a subject of it.
Places = Sequence[tuple[str, str]]


def places_of_call(request: QueueRequest) -> Places:
    """Where a call may lie that owns a body, in the order in which it moves on."""
    names = (request.queue, request.function, request.key)
    later, due = queued_subject("later", *names), queued_subject("due", *names)
    return (LATER, later), (LATER, due), (CALLS, queued_subject("call", *names)), (LATER, later)


class JetStreamBodies:
    """See :class:`~faasd_async.queue.bodies.Bodies`.

    :ivar held: those that nobody else is to look after yet.
    :ivar piece_bytes: how large a piece is.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, store: Store) -> None:
        self._clock = clock
        self._store = store
        self._tokens = DeferredSemaphore(_PIECES_UNDER_WAY)
        self.held: set[str] = set()
        self._spared: list[frozenset[str]] = []
        self.piece_bytes = PIECE_BYTES

    # -- in

    def begin(self, kind: BodyKind, pace: Pace, *, insistent: bool = False) -> StoreIntake:
        if len(self.held) >= _MOST_HELD:
            raise QueueUnavailable(f"{_MOST_HELD} large bodies are on their way already")
        name = body_name(kind, token_hex(16))
        self.held.add(name)
        return StoreIntake(self._clock, self, name, pace, insistent=insistent)

    def put_piece(self, name: str, number: int, piece: bytes) -> Deferred[None]:
        subject = piece_subject(name, number)
        putting = self._tokens.run(self._store.put, subject, (), piece)
        return cast("Deferred[object]", putting).addCallback(lambda _: None)

    def dropped(self, name: str) -> None:
        self._remove(name)

    # -- who owns it

    def own(self, body: StoredBody, places: Places) -> Deferred[None]:
        """Note whose a body is, before its message is put.

        :return: fails with a :class:`~faasd_async.errors.QueueError`.
        """
        note = msgspec.json.encode(places)
        return self._store.put(owner_subject(body.name), (), note).addCallback(lambda _: None)

    async def bring(self, kind: BodyKind, body: Body, places: Places) -> Body:
        """Have a body where its new owner is: a copy, unless it is there. It is held then.

        :raises QueueError: that cannot be done now.
        :raises BodyGone: it is not there any more.
        """
        if not is_stored(body):
            return body
        if _kind_of(body) != kind:
            body = await self._copied(kind, body)
        elif body.name not in self.held:
            return body
        try:
            await self.own(body, places)
        except QueueError:
            self.discard(body)
            raise
        return body

    async def _copied(self, kind: BodyKind, body: StoredBody) -> StoredBody:
        flow = _Flow()
        intake, pieces = self.begin(kind, flow), self.open(body)
        try:
            while piece := await pieces.read():
                intake.write(piece)
                await flow.when_open()
                if intake.reason is not None:
                    raise intake.reason
            return await intake.finish()
        except BaseException:
            intake.abort()
            raise
        finally:
            pieces.close()

    def copy_for_call(self, body: StoredBody) -> Deferred[StoredBody]:
        return Deferred.fromCoroutine(self._copied("call", body))

    def prepare_call(self, request: QueueRequest) -> Deferred[QueueRequest]:
        if not is_stored(request.body):
            return succeed(request)
        return Deferred.fromCoroutine(self._prepare_call(request))

    async def _prepare_call(self, request: QueueRequest) -> QueueRequest:
        body = await self.bring("call", request.body, places_of_call(request))
        return replace(request, body=body)

    # -- what becomes of it

    def keep(self, body: Body) -> None:
        if is_stored(body):
            self.held.discard(body.name)

    def discard(self, body: Body) -> None:
        if is_stored(body):
            self._remove(body.name)

    def drop_held(self, body: StoredBody) -> None:
        if body.name in self.held:
            self._remove(body.name)

    def spare(self, bodies: Iterable[StoredBody]) -> Callable[[], None]:
        names = frozenset(body.name for body in bodies)
        self._spared.append(names)
        return lambda: self._spared.remove(names)

    def is_looked_after(self, name: str) -> bool:
        """Whether somebody sees to it, so that it is not to be swept up."""
        return name in self.held or any(name in names for names in self._spared)

    def put(self, body: Body, reason: QueueError | None) -> None:
        if isinstance(reason, _SURELY_NOT_PUT):
            self.discard(body)
        else:
            self.keep(body)

    def _remove(self, name: str) -> None:
        removing = Deferred.fromCoroutine(self.remove(name))
        removing.addBoth(self._removed, name)

    def _removed(self, failed: Failure | None, name: str) -> None:
        self.held.discard(name)
        if failed is None:
            return
        # It is removed by the next sweep that can.
        if failed.check(QueueError):
            self._log.debug("a body cannot be removed now: {reason}", reason=failed.value)
        else:
            self._log.failure("a body cannot be removed", failure=failed)

    async def remove(self, name: str) -> None:
        """Have nothing left of a body.

        :raises QueueError: that cannot be done now.
        """
        stream = BODY_STREAMS[body_kind(name)]
        try:
            await self._store.jetstream.purge_stream(stream, filter=piece_subject(name, "*"))
            await self._store.jetstream.purge_stream(stream, filter=owner_subject(name))
        except NatsError as reason:
            raise queue_error(reason) from reason

    # -- out

    def open(self, body: StoredBody) -> StorePieces:
        return StorePieces(self._clock, self._store, body, self.piece_bytes)


class _Flow:
    """Somebody who waits for as long as the store has enough."""

    def __init__(self) -> None:
        self._waiting: Deferred[None] | None = None
        self._is_open = True

    def pause(self) -> None:
        self._is_open = False

    def resume(self) -> None:
        self._is_open = True
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def when_open(self) -> Deferred[None]:
        if self._is_open:
            return succeed(None)
        self._waiting = Deferred()
        return self._waiting


class StorePieces:
    """See :class:`~faasd_async.queue.bodies.Pieces`."""

    def __init__(
        self, clock: IReactorTime, store: Store, body: StoredBody, piece_bytes: int
    ) -> None:
        self._clock = clock
        self._store = store
        self._body = body
        self._piece_bytes = piece_bytes
        self._read: deque[bytes] = deque()
        self._left_bytes = body.size_bytes
        self._number = 0
        self._sequence = 1
        self._asking: Deferred[bytes] | None = None
        self._closed = False

    def read(self) -> Deferred[bytes]:
        if self._closed:
            return fail(BodyGone("nothing more is read of the body"))
        if self._read:
            return succeed(self._read.popleft())
        if self._left_bytes == 0:
            return succeed(b"")
        self._asking = asking = Deferred.fromCoroutine(self._ask())
        return asking

    def close(self) -> None:
        self._closed = True
        self._read.clear()
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()

    async def _ask(self) -> bytes:
        while not self._read:
            try:
                await self._fetch()
            except NatsError:
                await deferLater(self._clock, AGAIN_SECONDS)
        return self._read.popleft()

    async def _fetch(self) -> None:
        """
        :raises BodyGone: there is nothing more of it, and it is not whole.
        """
        try:
            stream = BODY_STREAMS[body_kind(self._body.name)]
        except ForeignSubject:
            raise BodyGone(f"there is no body {self._body.name!r}") from None
        messages, _ = await self._store.jetstream.get_messages(
            stream,
            piece_subject(self._body.name, "*"),
            self._sequence,
            count=_READ_PIECES,
            max_bytes=_READ_PIECES * self._piece_bytes,
        )
        for message in messages:
            self._sequence = message.sequence + 1
            number = int(message.subject.rpartition(".")[2])
            if number > self._number:
                raise BodyGone(f"the body {self._body.name} is not whole any more")
            # One that was written twice, because its acknowledgement did not come, counts once.
            if number == self._number:
                self._number += 1
                self._left_bytes -= len(message.payload)
                self._read.append(message.payload)
        if self._left_bytes < 0 or not messages:
            raise BodyGone(f"the body {self._body.name} is gone, or not whole")


def _kind_of(body: StoredBody) -> str:
    try:
        return body_kind(body.name)
    except ForeignSubject:
        raise BodyGone(f"there is no body {body.name!r}") from None
