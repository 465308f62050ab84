"""One request and what becomes of it.

An exchange tells its owner by calls, not by Deferreds: there are several for each of them, and a
small reply costs less than they would. :meth:`Exchange.replied`, :meth:`~Exchange.received`,
:meth:`~Exchange.ended` and :meth:`~Exchange.failed` are for subclasses to override; after
:meth:`~Exchange.abort` none of them is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import ITCPTransport

from faasd_async.http.errors import ExchangeError
from faasd_async.http.reader import Fields


class Upload(Protocol):
    """A body that is sent piece by piece, at the connection's pace.

    Its exchange's head says how it is framed. It is sent once: a request with such a body is never
    repeated.
    """

    def begin(self, transport: ITCPTransport, done: Callable[[], object]) -> None:
        """Register as a producer of *transport*; when that has taken the last byte, unregister and
        call *done*. If the connection is lost, ``stopProducing`` is all that is heard of it."""


class Carrier(Protocol):
    """Who has an exchange in hand: it waits for a connection, one is made, or one carries it."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def let_go(self, exchange: Exchange) -> None:
        """The exchange was aborted."""


class Exchange:
    """One request, and the calls that tell what comes back.

    :param head: as by :func:`.request.write_head`; it frames *body*.
    :ivar sent: a byte of the request may have left.
    :ivar repeated: why it is sent a second time, if it is.
    :ivar over: nothing more will be told.
    """

    __slots__ = ("body", "carrier", "head", "method", "over", "repeated", "sent", "status")

    def __init__(self, method: bytes, head: bytes, body: bytes | Upload) -> None:
        self.method = method
        self.head = head
        self.body = body
        self.carrier: Carrier | None = None
        self.sent = False
        self.repeated: ExchangeError | None = None
        self.over = False
        self.status = 0

    # What its owner overrides.

    def replied(self, status: int, fields: Fields) -> None:
        """The reply's head is there."""

    def received(self, piece: bytes) -> None:
        """A piece of its body."""

    def ended(self) -> None:
        """It is whole."""

    def failed(self, reason: ExchangeError) -> None:
        """It will not be whole, or never come."""

    # What its owner calls. Each may be called at any time.

    def pause(self) -> None:
        """Read no more than is read already."""
        if self.carrier is not None:
            self.carrier.pause()

    def resume(self) -> None:
        """Read on."""
        if self.carrier is not None:
            self.carrier.resume()

    def abort(self) -> None:
        """Let go of it: its connection is closed."""
        self.over = True
        carrier, self.carrier = self.carrier, None
        if carrier is not None:
            carrier.let_go(self)

    # What its carrier calls.

    def go_on(self, status: int, fields: Fields, pieces: list[bytes], complete: bool) -> None:
        """Tell what was read; *complete*, if that was all."""
        if self.over:
            return
        if not self.status:
            self.status = status
            self.replied(status, fields)
        for piece in pieces:
            if self.over:
                return
            self.received(piece)
        if complete and not self.over:
            self.over = True
            self.ended()

    def fail(self, reason: ExchangeError) -> None:
        """Tell that this is the end."""
        self.carrier = None
        if not self.over:
            self.over = True
            self.failed(reason)
