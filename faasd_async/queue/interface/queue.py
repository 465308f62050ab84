"""The queue itself: what is put into it, and taken out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred

from faasd_async.call.plain import PlainCall
from faasd_async.call.request import CallbackRequest, QueueRequest
from faasd_async.errors import QueueError
from faasd_async.queue.bodies import Bodies
from faasd_async.queue.interface.dead_letters import DeadLetters
from faasd_async.queue.interface.delivery import Delivery, Subscription
from faasd_async.queue.interface.finding import Lookup, Peers
from faasd_async.queue.interface.keyed import KeyedCalls
from faasd_async.queue.interface.records import Records
from faasd_async.queue.interface.schedules import Schedules
from faasd_async.queue.interface.source import Source
from faasd_async.queue.interface.waiting import Backlog, Pauses
from faasd_async.queue.listing import Listing


class Queue(Protocol):
    """A durable queue of calls and callbacks."""

    @property
    def ready(self) -> bool:
        """Whether it can be put into and taken from just now."""

    @property
    def why_refused(self) -> str | None:
        """Why no further call would be taken, as far as is known, or ``None``."""

    @property
    def largest_call_bytes(self) -> int:
        """The largest body that is sure to fit into a message, its headers aside."""

    @property
    def bodies(self) -> Bodies | None:
        """Those that are larger; ``None`` if there are to be none."""

    @property
    def records(self) -> Records: ...

    @property
    def dead_letters(self) -> DeadLetters: ...

    @property
    def pauses(self) -> Pauses: ...

    @property
    def backlog(self) -> Backlog: ...

    @property
    def keyed(self) -> KeyedCalls: ...

    @property
    def schedules(self) -> Schedules: ...

    @property
    def lookup(self) -> Lookup: ...

    @property
    def listing(self) -> Listing: ...

    @property
    def peers(self) -> Peers: ...

    def start(self) -> Deferred[None]:
        """Connect and bring up what is needed; fires when it is ready for the first time."""

    def stop(self) -> Deferred[None]:
        """Send what is still to be sent, then let go."""

    def when_durable(self) -> Deferred[None]:
        """Fires when everything stored so far is as durable as the deployment asked for; fails
        with :class:`~faasd_async.errors.QueueUnavailable` if it never will be."""

    def when_durable_then(self, durable: Callable[[QueueError | None], None]) -> None:
        """As :meth:`when_durable`; *durable* is called once, perhaps at once."""

    def put_call_then(
        self, request: QueueRequest, stored: Callable[[QueueError | None], None]
    ) -> None:
        """As :meth:`put_call`, but each time anew; *stored* is called once, perhaps at once. A body
        that lies elsewhere is where those of calls are."""

    def put_plain_then(self, call: PlainCall, stored: Callable[[QueueError | None], None]) -> None:
        """As :meth:`put_call_then`, of a call that is written already."""

    def put_call(self, request: QueueRequest) -> Deferred[None]:
        """Store a call. One that was tried before, or replayed, is stored once, if it is put twice
        within two minutes.

        :return: fires when it is durable. Fails with
            :class:`~faasd_async.errors.QueueUnavailable` (surely not stored),
            :class:`~faasd_async.errors.CallTooLarge` or
            :class:`~faasd_async.errors.MaybeStored`.
        """

    def put_later(self, request: QueueRequest, delay_seconds: float) -> Deferred[None]:
        """Store a call that is to be taken after a delay; as :meth:`put_call`, and fails with
        :class:`~faasd_async.errors.NoSchedules` where that is not possible at all."""

    def take_calls(
        self,
        source: Source,
        on_delivery: Callable[[Delivery[QueueRequest]], None],
        room: Callable[[], int],
    ) -> Subscription:
        """Have a source's calls delivered.

        :param room: how many more deliveries fit at this moment, were none on their way. It is
            asked whenever the subscription is topped up.
        """

    @property
    def callbacks_crowded(self) -> bool:
        """Whether callbacks take up half of the room there is for them, as far as is known."""

    @property
    def callbacks_full(self) -> bool:
        """Whether they take up nearly all of it."""

    def put_callback(self, callback: CallbackRequest) -> Deferred[None]:
        """Store a callback, unless it is stored already; it is durable with :meth:`when_durable`.

        One that was stored and is gone again (it was delivered, or given up) is stored anew: ask
        :meth:`.Records.find_posting` where that may be.
        """

    def put_callback_then(
        self, callback: CallbackRequest, stored: Callable[[QueueError | None], None]
    ) -> None:
        """As :meth:`put_callback`; *stored* is called once, perhaps at once."""

    def take_callbacks(
        self,
        on_delivery: Callable[[Delivery[CallbackRequest]], None],
        room: Callable[[], int],
    ) -> Subscription:
        """Have callbacks delivered; as :meth:`take_calls`."""
