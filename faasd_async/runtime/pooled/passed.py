"""An invocation whose answer is passed on as it comes."""

from __future__ import annotations

from faasd_async.errors import InvocationError
from faasd_async.http.reader import Fields
from faasd_async.runtime.interface import Invocation, Receiver
from faasd_async.runtime.pooled.bounded import BoundedCall
from faasd_async.runtime.pooled.words import end_to_end, upload


class PassedCall(BoundedCall):
    """One invocation whose answer is passed on as it comes: no Deferred, and nothing is held."""

    __slots__ = ("_receiver",)

    def __init__(
        self, invocation: Invocation, head: bytes, address: str, receiver: Receiver
    ) -> None:
        body = invocation.body
        super().__init__(
            invocation.method,
            head,
            body if type(body) is bytes else upload(body, self._body_failed),
        )
        self.function = invocation.function
        self._address = address
        self._receiver: Receiver | None = receiver

    # -- what the exchange tells

    def go_on(self, status: int, fields: Fields, pieces: list[bytes], complete: bool) -> None:
        super().go_on(status, fields, pieces, complete)
        if self._receiver is not None:
            self._receiver.flush()

    def replied(self, status: int, fields: Fields) -> None:
        assert self._receiver is not None
        self._receiver.replied(status, end_to_end(fields))

    def received(self, piece: bytes) -> None:
        assert self._receiver is not None
        self._receiver.received(piece)

    def ended(self) -> None:
        receiver = self._forget()
        if receiver is not None:
            receiver.ended()

    # -- whom it tells

    def _fail(self, reason: InvocationError) -> None:
        receiver = self._forget()
        if receiver is not None:
            receiver.failed(reason)

    def _forget(self) -> Receiver | None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            self._under_way.let_go(self, self._limit)
        return receiver
