"""An invocation whose answer is wanted whole."""

from __future__ import annotations

from faasd_async.call.body import StoredBody
from faasd_async.call.headers import Headers
from faasd_async.errors import InvocationBroken, InvocationError
from faasd_async.http.reader import Fields
from faasd_async.runtime.collect import over_the_limit, size_of
from faasd_async.runtime.interface import Answer, Invocation, WhenWhole
from faasd_async.runtime.pooled.bounded import BoundedCall
from faasd_async.runtime.pooled.words import end_to_end, upload
from faasd_async.runtime.spill import Spill, Spilling

#: An answer of no more than this is surely gathered, if it may be so large.
_PLAIN_BYTES = 256 * 1024


class WholeCall(BoundedCall):
    """One invocation whose answer is wanted whole: no Deferred, and no reply on its way."""

    __slots__ = (
        "_fields", "_most_bytes", "_pieces", "_plain_bytes", "_size_bytes", "_spill", "_spilling",
        "_when_whole",
    )  # fmt: skip

    def __init__(
        self,
        invocation: Invocation,
        head: bytes,
        address: str,
        most_bytes: int,
        when_whole: WhenWhole,
    ) -> None:
        body = invocation.body
        super().__init__(
            invocation.method,
            head,
            body if type(body) is bytes else upload(body, self._body_failed),
        )
        self.function = invocation.function
        self._spill = invocation.spill
        self._spilling: Spilling | None = None
        self._address = address
        self._most_bytes = most_bytes
        self._size_bytes = 0
        self._when_whole: WhenWhole | None = when_whole
        self._fields: Headers = ()
        self._pieces: list[bytes] = []

    # -- what the exchange tells

    def go_on(self, status: int, fields: Fields, pieces: list[bytes], complete: bool) -> None:
        if not complete or self.status or self.over or not self._is_small(pieces):
            super().go_on(status, fields, pieces, complete)
            return
        # All of it has come at once, as most answers do.
        body = pieces[0] if pieces else b""
        self.status, self.over = status, True
        self._tell(Answer(status, end_to_end(fields), body))

    def replied(self, status: int, fields: Fields) -> None:
        self._fields = end_to_end(fields)
        most_bytes = self._most_bytes
        self._plain_bytes = most_bytes if most_bytes < _PLAIN_BYTES else _PLAIN_BYTES

    def received(self, piece: bytes) -> None:
        self._size_bytes += len(piece)
        if self._size_bytes <= self._plain_bytes:
            self._pieces.append(piece)
        else:
            self._receive_much(piece)

    def _is_small(self, pieces: list[bytes]) -> bool:
        if len(pieces) > 1:
            return False
        size = len(pieces[0]) if pieces else 0
        return size <= self._most_bytes and size <= _PLAIN_BYTES

    def _receive_much(self, piece: bytes) -> None:
        if self._size_bytes > self._most_bytes:
            self.abort()
            self._tell(over_the_limit(self._most_bytes))
        elif self._spill is None or self._size_bytes <= self._gathered_bytes(self._spill):
            self._pieces.append(piece)
        else:
            self._spill_over(piece)

    def _gathered_bytes(self, spill: Spill) -> int:
        # The fields are stored beside it.
        return spill.gathered_bytes - size_of(self._fields)

    def _spill_over(self, piece: bytes) -> None:
        if self._spilling is None:
            assert self._spill is not None
            gathered, self._pieces = self._pieces, []
            try:
                self._spilling = Spilling(self._spill, self, gathered)
            except InvocationBroken as reason:
                self.abort()
                self._tell(reason)
                return
        self._spilling.write(piece)

    def _stored(self, body: StoredBody | Exception) -> None:
        self._spilling = None
        if isinstance(body, Exception):
            self._tell(body)
        else:
            self._tell(Answer(self.status, self._fields, body))

    def ended(self) -> None:
        if self._spilling is not None:
            self._spilling.finish(self._stored)
            return
        self._tell(Answer(self.status, self._fields, b"".join(self._pieces)))

    # -- whom it tells

    def _fail(self, reason: InvocationError) -> None:
        self._tell(reason)

    def _tell(self, whole: Answer | Exception) -> None:
        when_whole = self._forget()
        if when_whole is not None:
            when_whole(whole)

    def _forget(self) -> WhenWhole | None:
        when_whole, self._when_whole = self._when_whole, None
        if when_whole is not None:
            self._under_way.let_go(self, self._limit)
        if self._spilling is not None:
            self._spilling.abort()
            self._spilling = None
        return when_whole
