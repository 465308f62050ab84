"""A call that is being stored, until its caller has an answer: in time, or by the deadline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.python.failure import Failure

from faasd_async.call.plain import PlainCall
from faasd_async.call.request import QueueRequest
from faasd_async.errors import MaybeStored, QueueError
from faasd_async.gateway.arrival import Tracing
from faasd_async.gateway.deadlines import Deadlines, Wait
from faasd_async.gateway.receipt import Receipt, receipt_again
from faasd_async.gateway.refusal import Fields, Refusal, of_queue_error
from faasd_async.queue.interface import Accepted

#: Told of a call, and how many seconds accepting it took.
WhenAccepted = Callable[[PlainCall | QueueRequest, float], None]


class Stored(Protocol):
    """Is told what became of a call, once."""

    def __call__(self, reason: QueueError | None, earlier: Accepted | None = None) -> None: ...


def telling(stored: Callable[[QueueError], None]) -> Callable[[Failure], None]:
    """Tells why something was not stored."""

    def failed(failure: Failure) -> None:
        failure.trap(QueueError)
        stored(failure.value)  # type: ignore[arg-type]

    return failed


class Storing(Wait):
    """A call that is being stored, and whose caller waits for the receipt.

    :param accepted: told of it with the seconds it took, once it is safe.
    """

    __slots__ = ("_accepted", "_answered", "_began_seconds", "_call", "_deadlines")

    def __init__(
        self,
        deadlines: Deadlines,
        call: PlainCall | QueueRequest,
        began_seconds: float,
        answered: Callable[[Receipt | Refusal], None],
        accepted: WhenAccepted,
    ) -> None:
        self._deadlines = deadlines
        self._call = call
        self._began_seconds = began_seconds
        self._answered = answered
        self._accepted = accepted

    def expired(self) -> None:
        self._answered(of_queue_error(MaybeStored(), self._ids))

    def stored(self, reason: QueueError | None, earlier: Accepted | None = None) -> None:
        """See :class:`Stored`."""
        if not self._deadlines.over(self):
            return
        call = self._call
        if reason is not None:
            self._answered(of_queue_error(reason, self._ids))
        elif earlier is not None:
            assert type(call) is QueueRequest
            self._answered(receipt_again(call, earlier))
        else:
            self._accepted(call, self._deadlines.seconds() - self._began_seconds)
            self._answered(Receipt(call.function, call.key, call.start_time_ns))

    @property
    def _ids(self) -> Fields:
        return Tracing(self._call.key, self._call.start_time_ns).fields
