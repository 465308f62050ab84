"""A callback in hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred

from faasd_async.call.request import CallbackName, CallbackRequest
from faasd_async.callback.receivers import Receiver
from faasd_async.queue.interface import Delivery


@dataclass(slots=True, eq=False)
class Post:
    """What is known of one.

    :ivar name: what tells it from others.
    :ivar delivery: the newest of its deliveries: the one that will be settled.
    :ivar work: what is going on; cancelling it gives the callback back.
    :ivar began_ns: when the try began, Unix nanoseconds.
    """

    name: CallbackName
    delivery: Delivery[CallbackRequest]
    receiver: Receiver
    work: Deferred[Any] = field(default_factory=Deferred)
    began_ns: int = 0

    @property
    def callback(self) -> CallbackRequest:
        return self.delivery.parcel

    @property
    def is_fresh(self) -> bool:
        """Whether nothing can have been tried of it."""
        return self.delivery.delivered == 1 and not self.delivery.inherited
