"""An invocation whose answer is a reply, to be read by whoever wants to."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from faasd_async.http.errors import ExchangeError
from faasd_async.http.exchange import Exchange
from faasd_async.http.reader import Fields
from faasd_async.runtime.interface import Invocation, Reply
from faasd_async.runtime.pooled.words import (
    GIVEN_UP,
    body_not_sent,
    end_to_end,
    no_reply,
    not_reached,
    reply_broken,
    upload,
)
from faasd_async.runtime.reply import FlowingReply


class RepliedCall(Exchange):
    """One invocation; to its reply, the connection it comes from.

    Who knows this call and is known to it is forgotten in time, or nobody but the garbage collector
    would free them.

    :ivar when_replied: fires with the reply.
    """

    __slots__ = ("_address", "_function", "_reply", "when_replied")

    def __init__(self, invocation: Invocation, head: bytes, address: str) -> None:
        body = invocation.body
        super().__init__(
            invocation.method,
            head,
            body if type(body) is bytes else upload(body, self._body_failed),
        )
        self._function = invocation.function
        self._address = address
        self._reply: FlowingReply | None = None
        self.when_replied: Deferred[Reply] = Deferred(self._cancelled)

    def go_on(self, status: int, fields: Fields, pieces: list[bytes], complete: bool) -> None:
        if self.over or self.status:
            super().go_on(status, fields, pieces, complete)
            return
        # The body's beginning, or all of it, is there with the head: so it can be passed on.
        self.status = status
        reply = FlowingReply(status, end_to_end(fields), self, pieces)
        if complete:
            self.over = True
            reply.finish()
        else:
            self._reply = reply
        self._take_when_replied().callback(reply)

    def received(self, piece: bytes) -> None:
        assert self._reply is not None
        self._reply.feed(piece)

    def ended(self) -> None:
        reply, self._reply = self._reply, None
        assert reply is not None
        reply.finish()

    def failed(self, reason: ExchangeError) -> None:
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.finish(Failure(reply_broken(self._function, reason)))
        else:
            self._take_when_replied().errback(no_reply(self._function, self._address, reason))

    def _body_failed(self, reason: Exception) -> None:
        self.abort()
        broken = body_not_sent(reason)
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.finish(Failure(broken))
        else:
            self._take_when_replied().errback(broken)

    def _take_when_replied(self) -> Deferred[Reply]:
        when_replied = self.when_replied
        del self.when_replied
        return when_replied

    def _cancelled(self, when_replied: Deferred[Reply]) -> None:
        self.abort()
        if not self.sent:
            when_replied.errback(not_reached(self._function, self._address, GIVEN_UP))
