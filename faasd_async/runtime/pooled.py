"""Invocations over :mod:`faasd_async.http`: its ends in the words of the runtimes."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.python.failure import Failure

from faasd_async.call.headers import HOP_BY_HOP, Headers, named_by_connection
from faasd_async.errors import InvocationBroken, NotHandedOver
from faasd_async.http.errors import ExchangeError, NotSent
from faasd_async.http.exchange import Exchange
from faasd_async.http.pool import Pool
from faasd_async.http.reader import Fields
from faasd_async.runtime.interface import Invocation, Reply
from faasd_async.runtime.reply import FlowingReply
from faasd_async.wheel import Wheel

IDLE_SECONDS = 1


class PooledClient:
    """The connections to one function.

    :param clock: as for :class:`~faasd_async.http.pool.Pool`.
    :param address: where the function is, in words.
    """

    def __init__(
        self,
        clock: IReactorTime,
        wheel: Wheel,
        endpoint: IStreamClientEndpoint,
        address: str,
        *,
        max_connections: int,
        connect_timeout_seconds: float,
    ) -> None:
        self._address = address
        self._pool = Pool(
            clock,
            wheel,
            endpoint,
            max_connections=max_connections,
            connect_timeout_seconds=connect_timeout_seconds,
            idle_seconds=IDLE_SECONDS,
        )

    def open(self) -> None:
        self._pool.open()

    def close(self) -> Deferred[None]:
        return self._pool.close()

    def exchange(self, invocation: Invocation, head: bytes) -> Deferred[Reply]:
        """:return: as of :meth:`.interface.Runtime.invoke`, without a limit of time."""
        call = _Call(invocation, head, self._address)
        when_replied = call.when_replied
        self._pool.send(call)
        return when_replied


class _Call(Exchange):
    """One invocation; to its reply, the connection it comes from.

    Who knows this call and is known to it is forgotten in time, or nobody but the garbage collector
    would free them.

    :ivar when_replied: fires with the reply.
    """

    __slots__ = ("_address", "_function", "_reply", "when_replied")

    def __init__(self, invocation: Invocation, head: bytes, address: str) -> None:
        super().__init__(invocation.method, head, invocation.body)
        self._function = invocation.function
        self._address = address
        self._reply: FlowingReply | None = None
        self.when_replied: Deferred[Reply] = Deferred(self._cancelled)

    def replied(self, status: int, fields: Fields) -> None:
        self._reply = reply = FlowingReply(status, _end_to_end(fields), self)
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
            broken = InvocationBroken(f"{self._function} broke off its answer: {reason}")
            reply.finish(Failure(broken))
        elif isinstance(reason, NotSent):
            self._take_when_replied().errback(self._not_reached(str(reason)))
        else:
            self._take_when_replied().errback(
                InvocationBroken(f"{self._function} broke off before it answered: {reason}")
            )

    def _take_when_replied(self) -> Deferred[Reply]:
        when_replied = self.when_replied
        del self.when_replied
        return when_replied

    def _cancelled(self, when_replied: Deferred[Reply]) -> None:
        self.abort()
        if not self.sent:
            when_replied.errback(self._not_reached("given up before there was a connection"))

    def _not_reached(self, why: str) -> NotHandedOver:
        return NotHandedOver(f"{self._function} was not reached at {self._address}: {why}")


def _end_to_end(fields: Fields) -> Headers:
    named = named_by_connection(fields)
    dropped = HOP_BY_HOP | named if named else HOP_BY_HOP
    return [field for field in fields if field[0].lower() not in dropped]
