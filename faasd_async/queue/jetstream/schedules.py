"""What is known of schedules: ``faas.control.schedule.…``, the last message of each subject."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from twisted.internet.defer import Deferred

from faasd_async.errors import QueueUnavailable
from faasd_async.nats.errors import NatsError
from faasd_async.nats.jetstream import MessageNotFound
from faasd_async.queue.interface import Tick
from faasd_async.queue.jetstream.store import Store, queue_error
from faasd_async.queue.jetstream.subjects import CONTROL, schedule_subject

Record = TypeVar("Record")


class JetStreamSchedules:
    """See :class:`~faasd_async.queue.interface.Schedules`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def last(self, function: str) -> Deferred[Tick | None]:
        return Deferred.fromCoroutine(self._read("last", function, Tick))

    def note(self, function: str, tick: Tick) -> Deferred[None]:
        payload = msgspec.json.encode(tick)
        stored = self._store.put(schedule_subject("last", function), (), payload)
        return stored.addCallback(lambda _: None)

    def removed(self, function: str) -> Deferred[str]:
        found = Deferred.fromCoroutine(self._read("removed", function, str))
        return found.addCallback(lambda removed: removed or "")

    def remove(self, function: str, schedule: str) -> Deferred[None]:
        payload = msgspec.json.encode(schedule)
        return self._store.put_durably(schedule_subject("removed", function), (), payload)

    async def _read(self, what: str, function: str, kind: type[Record]) -> Record | None:
        try:
            found = await self._store.jetstream.get_last_message(
                CONTROL, schedule_subject(what, function)
            )
            return msgspec.json.decode(found.payload, type=kind)
        except MessageNotFound:
            return None
        except NatsError as reason:
            raise queue_error(reason) from reason
        except msgspec.MsgspecError as reason:
            raise QueueUnavailable(f"what is known of a schedule: {reason}") from reason
