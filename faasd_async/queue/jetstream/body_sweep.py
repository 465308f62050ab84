"""Looks for bodies that belong to nothing any more, and removes them.

An upload that broke off, a daemon that was killed between a body and its call, an operator's purge,
a record that grew old: each leaves a body behind whose owner is not there. They are looked for when
the queue is brought up, when something was purged, and from time to time.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.errors import QueueError
from faasd_async.nats.errors import NatsError
from faasd_async.nats.jetstream import MessageNotFound
from faasd_async.queue.jetstream.bodies import JetStreamBodies
from faasd_async.queue.jetstream.records import Found
from faasd_async.queue.jetstream.store import Store
from faasd_async.queue.jetstream.stored.message import Unreadable, body_of
from faasd_async.queue.jetstream.subjects import BODY_STREAMS, owner_subject, piece_subject

PERIOD_SECONDS = 60.0

#: So many bodies of a kind are looked at in one go; the next goes on behind them.
_MOST_LOOKED_AT = 500

#: Whose owner is not there may still get one, where others use the same broker: no upload, and no
#: wait for a broker, is thought to take longer.
GRACE_SECONDS = 3600.0


class BodySweep:
    """Sweeps.

    :param alone: nobody else puts bodies into this store.
    :param now_seconds: the wall clock.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        store: Store,
        bodies: JetStreamBodies,
        *,
        alone: bool,
        now_seconds: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._store = store
        self._bodies = bodies
        self._alone = alone
        self._now_seconds = now_seconds
        self._next: IDelayedCall | None = None
        self._sweeping: Deferred[None] | None = None
        self._again = self._started = False
        self._behind = dict.fromkeys(BODY_STREAMS, "")
        #: Bodies without a beginning are looked for, too: a power cut may leave the end of one.
        self._thorough = True

    def start(self) -> None:
        """Sweep now, and again from time to time."""
        self._started = self._thorough = True
        self.soon()

    def stop(self) -> None:
        """Sweep no more."""
        self._started = False
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._sweeping is not None:
            self._sweeping.cancel()

    def soon(self) -> None:
        """There may be something to sweep."""
        if not self._started:
            return
        if self._sweeping is not None:
            self._again = True
            return
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._sweeping = sweeping = Deferred.fromCoroutine(self._sweep())
        sweeping.addBoth(self._swept)

    def _swept(self, failed: Failure | None) -> None:
        self._sweeping = None
        if failed is not None and not failed.check(CancelledError, NatsError, QueueError):
            self._log.failure("bodies without an owner cannot be looked for", failure=failed)
        if self._started:
            again, self._again = self._again, False
            self._next = self._clock.callLater(0 if again else PERIOD_SECONDS, self._due)

    def _due(self) -> None:
        self._next = None
        self.soon()

    async def _sweep(self) -> None:
        for kind, stream in BODY_STREAMS.items():
            names = await self._names(kind, stream)
            behind = [name for name in names if name > self._behind[kind]][:_MOST_LOOKED_AT]
            self._behind[kind] = behind[-1] if len(behind) == _MOST_LOOKED_AT else ""
            removed = 0
            for name in behind:
                if self._bodies.is_looked_after(name) or not await self._is_debris(stream, name):
                    continue
                # It may have lost its owner, for a moment, while that was found out.
                if not self._bodies.is_looked_after(name):
                    await self._bodies.remove(name)
                    removed += 1
            if removed:
                self._log.info(
                    "{count} bodies in {stream} belonged to nothing, and are removed",
                    count=removed,
                    stream=stream,
                )
        self._thorough = self._thorough and any(self._behind.values())

    async def _names(self, kind: str, stream: str) -> list[str]:
        names: set[str] = set()
        pieces = "*" if self._thorough else "0"
        for subjects in (f"faas.body.{kind}.*.{pieces}", f"faas.owner.{kind}.*"):
            info = await self._store.jetstream.stream_info(stream, subjects_filter=subjects)
            names.update(subject.split(".")[3] for subject in info.state.subjects or ())
        return sorted(names)

    async def _is_debris(self, stream: str, name: str) -> bool:
        try:
            note = await self._store.jetstream.get_last_message(stream, owner_subject(name))
        except MessageNotFound:
            return await self._is_old(stream, name)
        for place in msgspec.json.decode(note.payload, type=list[tuple[str, str]]):
            if await self._owns(*place, name):
                return False
        return self._alone or self._now_seconds() - note.time.timestamp() > GRACE_SECONDS

    async def _owns(self, stream: str, subject: str, name: str) -> bool:
        try:
            found = await self._store.jetstream.get_last_message(stream, subject)
        except MessageNotFound:
            return False
        try:
            body = body_of(Found.of(found))
        except Unreadable:
            return True
        return body is not None and body.name == name

    async def _is_old(self, stream: str, name: str) -> bool:
        if self._alone:
            return True
        try:
            first = await self._store.jetstream.get_last_message(stream, piece_subject(name, 0))
        except MessageNotFound:
            return True
        return self._now_seconds() - first.time.timestamp() > GRACE_SECONDS
