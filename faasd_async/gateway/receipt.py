"""What a caller is told whose call was accepted."""

from __future__ import annotations

from typing import NamedTuple

from faasd_async.call.ids import DRAWN, CallKey
from faasd_async.call.known import CallName
from faasd_async.call.once import why_another
from faasd_async.call.request import QueueRequest
from faasd_async.gateway.arrival import Tracing, path_of
from faasd_async.gateway.refusal import Fields, Refusal
from faasd_async.queue.interface import Accepted


class Receipt(NamedTuple):
    """A 202.

    :ivar start_time_ns: when the call was accepted, Unix nanoseconds.
    :ivar more: header fields besides those of any 202.
    """

    function: str
    key: CallKey
    start_time_ns: int
    more: Fields = ()

    @property
    def name(self) -> CallName:
        """The call it is about."""
        return CallName(self.function, self.key)

    @property
    def location(self) -> bytes:
        """Where that can be asked after."""
        call_id, accept = self.key
        if accept == DRAWN:
            return b"/call/" + call_id.encode()
        return path_of(call_id).encode()

    @property
    def fields(self) -> Fields:
        location = (b"Location", self.location)
        return (*Tracing(self.key, self.start_time_ns).fields, location, *self.more)


def receipt_again(request: QueueRequest, earlier: Accepted) -> Receipt | Refusal:
    """The receipt of a call that was accepted before; 422 if that was another call."""
    other = why_another(request.digest, earlier.digest)
    if other is not None:
        return Refusal(422, f"another call, with another {other}, was sent under this key")
    replayed = ((b"Idempotency-Replayed", b"true"),)
    return Receipt(request.function, earlier.key, earlier.start_time_ns, replayed)
