"""One call in the worker's hands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from faasd_async.call.history import History
from faasd_async.call.request import QueueRequest
from faasd_async.queue.interface import Delivery


def nothing() -> None:
    """Nothing goes on yet."""


@dataclass(slots=True, eq=False)
class Run:
    """One call that was delivered and is not settled yet.

    :ivar delivery: the newest of its deliveries: the one that will be settled.
    :ivar history: what has been tried of it.
    :ivar cancel: lets go of what is going on, and gives the call back.
    :ivar begun: whether its function may have seen it this time.
    :ivar begun_ns: when its attempt began, Unix nanoseconds; 0 before.
    :ivar goes_back: nothing more is to be done with it than that.
    :ivar is_recollected: what was noted of it before is in *history*.
    :ivar recalled: it was purged: it is not to begin, or to be tried again.
    :ivar cancelled: it is not to go on: somebody else has written its end.
    :ivar replay: a delivery of the same call replayed, which comes after this one is settled.
    """

    delivery: Delivery[QueueRequest]
    history: History
    cancel: Callable[[], object] = nothing
    begun: bool = False
    begun_ns: int = 0
    goes_back: bool = False
    is_recollected: bool = False
    recalled: bool = False
    cancelled: bool = False
    replay: Delivery[QueueRequest] | None = None

    @property
    def request(self) -> QueueRequest:
        return self.delivery.parcel
