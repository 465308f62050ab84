"""Calls that wait for their time: ``FAAS_LATER``.

The broker itself keeps the schedule: at its time it moves a message from ``faas.later.…`` to
``faas.due.…``, and from there it is brought back to ``FAAS_CALLS``: written there, made durable,
and only then acknowledged here.

A call waits here between two attempts, or because its caller put it off. One of the latter that its
caller may repeat goes back only if no other lies there under its key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from faasd_async.call.moments import from_ns
from faasd_async.call.once import is_keyed
from faasd_async.call.request import NOT_TRIED, QueueRequest
from faasd_async.errors import AlreadyStored, NoSchedules, QueueError, QueueFull
from faasd_async.nats.errors import NatsError
from faasd_async.queue.interface import Delivery
from faasd_async.queue.jetstream.store import Fields, Store, queue_error
from faasd_async.queue.jetstream.stored.calls import write_request
from faasd_async.queue.jetstream.subjects import LATER, queued_subject

#: How many due calls are on their way back at a time.
MOVING = 64

#: How old the knowledge may be of what waits here.
_LOOK_SECONDS = 1.0

#: When a due call that cannot be brought back is tried again.
_AGAIN_SECONDS = 5.0


@dataclass(slots=True)
class _Filling:
    """So many messages, and what they take up."""

    bytes: int = 0
    messages: int = 0

    def add(self, size_bytes: int, messages: int) -> None:
        self.bytes += size_bytes
        self.messages += messages


class Later:
    """Puts calls off, and brings them back when they are due.

    :param limit_messages: how many calls may wait here.
    :param put_only: puts a call that its caller may repeat; fails with
        :class:`~faasd_async.errors.AlreadyStored` if one lies there under its key.
    :ivar limit_bytes: what they may take up in all.
    :ivar possible: whether the broker keeps schedules at all.
    :param now_seconds: the wall clock, which the broker's schedule goes by.
    """

    _log = Logger()

    def __init__(
        self,
        store: Store,
        limit_bytes: int,
        limit_messages: int,
        put_call: Callable[[QueueRequest], Deferred[None]],
        put_only: Callable[[QueueRequest], Deferred[None]],
        now_seconds: Callable[[], float],
    ) -> None:
        self._store = store
        self.limit_bytes = limit_bytes
        self._limit_messages = limit_messages
        self._put_call = put_call
        self._put_only = put_only
        self.possible = True
        self._now_seconds = now_seconds
        self._moving = 0
        self._looked_at_seconds = float("-inf")
        self._looking: list[Deferred[None]] | None = None
        self._known = _Filling()
        self._since = _Filling()
        self._on_their_way = _Filling()
        self.when_room: Callable[[], None] = lambda: None

    async def put(
        self,
        request: QueueRequest,
        delay_seconds: float,
        only: Fields = ((b"Nats-Rollup", b"sub"),),
    ) -> None:
        """Have a call come back after a delay.

        :param only: header fields that say what may lie here already; without, this stands in
            the place of what does.
        :raises NoSchedules: the broker is too old for it.
        """
        if not self.possible:
            raise NoSchedules("the NATS server cannot put calls off: 2.12 or newer is needed")
        fields, payload = write_request(request)
        size_bytes = len(payload)
        await self._find_room(size_bytes)
        names = (request.queue, request.function, request.key)
        due_ns = round((self._now_seconds() + delay_seconds) * 1e9)
        if request.not_before_ns and request.history is NOT_TRIED:
            due_ns = request.not_before_ns
        # Rounded up: the broker reads microseconds well, and nothing is to come early.
        at = from_ns(due_ns + 999)
        fields += [
            (b"Nats-Schedule", b"@at " + at.strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()),
            (b"Nats-Schedule-Target", queued_subject("due", *names).encode()),
            *only,
        ]
        self._on_their_way.add(size_bytes, 1)
        try:
            await self._store.put_durably(queued_subject("later", *names), fields, payload)
        finally:
            # Whether it was stored or not, it may have been: the next look tells.
            self._on_their_way.add(-size_bytes, -1)
            self._since.add(size_bytes, 1)

    async def _find_room(self, size_bytes: int) -> None:
        """See that there is room for a call.

        What there is is asked for once in a while, and reckoned on from there: with what was put
        since it was asked for, and with what is on its way. Some of that may be counted twice for
        a moment, and none is left out.

        :raises QueueFull: there is not so much.
        """
        since_seconds = abs(self._now_seconds() - self._looked_at_seconds)
        if since_seconds > _LOOK_SECONDS or self._why_full(size_bytes):
            await self._look()
        why = self._why_full(size_bytes)
        if why:
            raise QueueFull(why)

    async def _look(self) -> None:
        """Ask what there is; all who want to know at the same time wait for one answer."""
        if self._looking is not None:
            waiting: Deferred[None] = Deferred()
            self._looking.append(waiting)
            await waiting
            return
        self._looking = []
        before, self._since = self._since, _Filling()
        try:
            state = (await self._store.jetstream.stream_info(LATER)).state
        except NatsError as reason:
            self._since.add(before.bytes, before.messages)
            raise queue_error(reason) from reason
        except CancelledError:
            self._since.add(before.bytes, before.messages)
            raise
        else:
            self._known = _Filling(state.bytes, state.messages)
            self._looked_at_seconds = self._now_seconds()
        finally:
            told, self._looking = self._looking, None
            for each in told:
                each.callback(None)

    def _why_full(self, size_bytes: int) -> str:
        each = (self._known, self._since, self._on_their_way)
        taken_bytes = sum(filling.bytes for filling in each)
        messages = sum(filling.messages for filling in each)
        if taken_bytes + size_bytes > self.limit_bytes:
            return f"{taken_bytes} bytes of calls wait for their time already"
        if messages >= self._limit_messages:
            return f"{messages} calls wait for their time already"
        return ""

    def room(self) -> int:
        """How many more due calls may be on their way back."""
        return MOVING - self._moving

    def take_due(self, delivery: Delivery[QueueRequest]) -> None:
        """Bring a due call back."""
        self._moving += 1
        Deferred.fromCoroutine(self._bring_back(delivery)).addErrback(
            lambda failure: self._log.failure("a due call cannot be moved", failure=failure)
        )

    async def _bring_back(self, delivery: Delivery[QueueRequest]) -> None:
        request = delivery.parcel
        first_time = request.history is NOT_TRIED and not request.generation
        put = self._put_only if first_time and is_keyed(request.key) else self._put_call
        try:
            await put(request)
        except AlreadyStored:
            # Sent again under its key, without a delay, and accepted before anybody could know.
            delivery.settle()
        except QueueError as reason:
            self._log.warn("a due call has to wait: {reason}", reason=reason)
            delivery.give_back(_AGAIN_SECONDS)
        else:
            delivery.settle_moved()
        finally:
            self._moving -= 1
            self.when_room()
