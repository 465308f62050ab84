"""Callbacks on their way into their stream, and how much of its room they take up."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace
from twisted.internet.defer import Deferred

from faasd_async.call.body import Body
from faasd_async.call.request import CallbackRequest
from faasd_async.errors import AlreadyStored, BodyGone, CallTooLarge, QueueError
from faasd_async.nats.wire import encode_headers
from faasd_async.queue.jetstream.bodies import JetStreamBodies
from faasd_async.queue.jetstream.filling import Filling
from faasd_async.queue.jetstream.records import reason_of
from faasd_async.queue.jetstream.store import Store
from faasd_async.queue.jetstream.stored.callbacks import write_callback
from faasd_async.queue.jetstream.subjects import CALLBACKS, callback_subject

#: So much of the room for callbacks may be taken by those that nobody takes.
_CROWDED_SHARE = 0.5

#: With so much it is high time to make room.
_FULL_SHARE = 0.9


class Callbacks:
    """Puts them there.

    :param largest_bytes: the largest body that is sure to fit into a message.
    :ivar filling: how full the stream is.
    """

    def __init__(
        self,
        store: Store,
        bodies: JetStreamBodies,
        filling: Filling,
        largest_bytes: Callable[[], int],
    ) -> None:
        self._store = store
        self._bodies = bodies
        self.filling = filling
        self._largest_bytes = largest_bytes

    @property
    def are_crowded(self) -> bool:
        return self.filling.share >= _CROWDED_SHARE

    @property
    def are_full(self) -> bool:
        return self.filling.share >= _FULL_SHARE

    def put_then(
        self, callback: CallbackRequest, stored: Callable[[QueueError | None], None]
    ) -> None:
        """See :meth:`faasd_async.queue.interface.Queue.put_callback_then`."""
        if type(callback.body) is not bytes:
            putting = Deferred.fromCoroutine(self._put_with_body(callback))
            putting.addCallbacks(stored, lambda failure: stored(reason_of(failure)))
            return

        def put(reason: QueueError | None) -> None:
            stored(None if isinstance(reason, AlreadyStored) else reason)

        self._put_then(callback, put)

    async def _put_with_body(self, callback: CallbackRequest) -> None:
        body = await self._fetch_body(callback)
        stored: Deferred[QueueError | None] = Deferred()
        self._put_then(replace(callback, body=body), stored.callback)
        reason = await stored
        self._bodies.put(body, reason)
        if reason is not None and not isinstance(reason, AlreadyStored):
            raise reason

    async def _fetch_body(self, callback: CallbackRequest) -> Body:
        place = CALLBACKS, callback_subject(callback.name)
        try:
            return await self._bodies.bring("callback", callback.body, (place,))
        except BodyGone:
            # Then it is to be told without.
            raise CallTooLarge(len(callback.body), self._largest_bytes()) from None

    def _put_then(
        self, callback: CallbackRequest, stored: Callable[[QueueError | None], None]
    ) -> None:
        """As :meth:`put_then`, but :class:`.AlreadyStored` is told."""
        fields, payload = write_callback(callback)
        subject = callback_subject(callback.name)
        message_id = f"{subject}/{callback.generation}/{callback.replays}"
        fields += [
            (b"Nats-Msg-Id", message_id.encode()),
            (b"Nats-Expected-Last-Subject-Sequence", b"0"),
        ]
        header_block = encode_headers(fields)
        self.filling.add(len(header_block) + len(payload), 1)
        self._store.put_then(subject.encode(), header_block, payload, stored)
