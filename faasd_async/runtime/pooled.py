"""Invocations over :mod:`faasd_async.http`: its ends in the words of the runtimes."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.python.failure import Failure

from faasd_async.call.body import StoredBody
from faasd_async.call.headers import HOP_BY_HOP, Headers, named_by_connection
from faasd_async.errors import (
    InvocationBroken,
    InvocationError,
    InvocationTimedOut,
    NotHandedOver,
)
from faasd_async.http.errors import ExchangeError, NotSent
from faasd_async.http.exchange import Exchange, Upload
from faasd_async.http.flowing import FlowingBody
from faasd_async.http.pool import Pool
from faasd_async.http.reader import Fields
from faasd_async.runtime.collect import over_the_limit, size_of
from faasd_async.runtime.deadline import UnderWay
from faasd_async.runtime.interface import Answer, Invocation, Passing, Receiver, Reply, WhenWhole
from faasd_async.runtime.interface import FlowingBody as StoredElsewhere
from faasd_async.runtime.reply import FlowingReply
from faasd_async.runtime.spill import Spill, Spilling
from faasd_async.wheel import Alarm, Wheel

IDLE_SECONDS = 1

#: An answer of no more than this is surely gathered, if it may be so large.
_PLAIN_BYTES = 256 * 1024

_GIVEN_UP = "given up before there was a connection"


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

    def exchange_whole(
        self,
        invocation: Invocation,
        head: bytes,
        under_way: UnderWay,
        timeout_seconds: float,
        most_bytes: int,
        when_whole: WhenWhole,
    ) -> Callable[[], None]:
        """As :meth:`.interface.WholeRuntime.invoke_whole`.

        :param under_way: what sees to the limit of time, and to the end of the runtime.
        """
        call = _WholeCall(invocation, head, self._address, most_bytes, when_whole)
        call.begin(under_way, timeout_seconds)
        self._pool.send(call)
        return call.stop

    def exchange_passing(
        self,
        invocation: Invocation,
        head: bytes,
        under_way: UnderWay,
        timeout_seconds: float,
        receiver: Receiver,
    ) -> Passing:
        """As :meth:`.interface.PassingRuntime.invoke_passing`; *under_way* as of
        :meth:`exchange_whole`."""
        call = _PassedCall(invocation, head, self._address, receiver)
        call.begin(under_way, timeout_seconds)
        self._pool.send(call)
        return call


class _WholeCall(Exchange):
    """One invocation whose answer is wanted whole: no Deferred, and no reply on its way.

    As with :class:`_Call`, nobody is known any longer than need be.

    :ivar function: the deployment's name.
    """

    __slots__ = (
        "_address", "_fields", "_limit", "_most_bytes", "_pieces", "_plain_bytes", "_seconds",
        "_size_bytes", "_spill", "_spilling", "_under_way", "_when_whole", "function",
    )  # fmt: skip

    _limit: Alarm
    _under_way: UnderWay

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
            body if type(body) is bytes else _upload(body, self._body_failed),
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

    def begin(self, under_way: UnderWay, timeout_seconds: float) -> None:
        """Its time runs from now."""
        self._seconds = timeout_seconds
        self._under_way = under_way
        self._limit = under_way.hold(self, timeout_seconds)

    # -- what the exchange tells

    def go_on(self, status: int, fields: Fields, pieces: list[bytes], complete: bool) -> None:
        if not complete or self.status or self.over or not self._is_small(pieces):
            super().go_on(status, fields, pieces, complete)
            return
        # All of it has come at once, as most answers do.
        body = pieces[0] if pieces else b""
        self.status, self.over = status, True
        self._tell(Answer(status, _end_to_end(fields), body))

    def replied(self, status: int, fields: Fields) -> None:
        self._fields = _end_to_end(fields)
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

    def _body_failed(self, reason: Exception) -> None:
        self.abort()
        self._tell(InvocationBroken(f"the call's body could not be sent: {reason}"))

    def ended(self) -> None:
        if self._spilling is not None:
            self._spilling.finish(self._stored)
            return
        self._tell(Answer(self.status, self._fields, b"".join(self._pieces)))

    def failed(self, reason: ExchangeError) -> None:
        if self.status:
            self._tell(InvocationBroken(f"{self.function} broke off its answer: {reason}"))
        elif isinstance(reason, NotSent):
            self._tell(self._not_reached(str(reason)))
        else:
            why = f"{self.function} broke off before it answered: {reason}"
            self._tell(InvocationBroken(why))

    # -- what stops it

    def stop(self) -> None:
        """Nobody waits for the answer any more."""
        if self._forget() is not None:
            self.abort()

    def pass_by(self) -> None:
        """The time is up."""
        why = f"{self.function} did not answer within {self._seconds:g} s"
        self.end(InvocationTimedOut(why))

    def end(self, verdict: InvocationError) -> None:
        """Stop, and tell why; a function that has seen nothing has not been handed the call."""
        sent = self.sent
        self.abort()
        self._tell(verdict if sent else self._not_reached(_GIVEN_UP))

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

    def _not_reached(self, why: str) -> NotHandedOver:
        return _not_reached(self.function, self._address, why)


class _PassedCall(Exchange):
    """One invocation whose answer is passed on as it comes: no Deferred, and nothing is held.

    As with :class:`_Call`, nobody is known any longer than need be.

    :ivar function: the deployment's name.
    """

    __slots__ = ("_address", "_limit", "_receiver", "_seconds", "_under_way", "function")

    _limit: Alarm
    _under_way: UnderWay

    def __init__(
        self, invocation: Invocation, head: bytes, address: str, receiver: Receiver
    ) -> None:
        body = invocation.body
        super().__init__(
            invocation.method,
            head,
            body if type(body) is bytes else _upload(body, self._body_failed),
        )
        self.function = invocation.function
        self._address = address
        self._receiver: Receiver | None = receiver

    def begin(self, under_way: UnderWay, timeout_seconds: float) -> None:
        """Its time runs from now."""
        self._seconds = timeout_seconds
        self._under_way = under_way
        self._limit = under_way.hold(self, timeout_seconds)

    # -- what the exchange tells

    def go_on(self, status: int, fields: Fields, pieces: list[bytes], complete: bool) -> None:
        super().go_on(status, fields, pieces, complete)
        if self._receiver is not None:
            self._receiver.flush()

    def replied(self, status: int, fields: Fields) -> None:
        assert self._receiver is not None
        self._receiver.replied(status, _end_to_end(fields))

    def received(self, piece: bytes) -> None:
        assert self._receiver is not None
        self._receiver.received(piece)

    def ended(self) -> None:
        receiver = self._forget()
        if receiver is not None:
            receiver.ended()

    def failed(self, reason: ExchangeError) -> None:
        if self.status:
            self._fail_with(InvocationBroken(f"{self.function} broke off its answer: {reason}"))
        elif isinstance(reason, NotSent):
            self._fail_with(_not_reached(self.function, self._address, str(reason)))
        else:
            why = f"{self.function} broke off before it answered: {reason}"
            self._fail_with(InvocationBroken(why))

    def _body_failed(self, reason: Exception) -> None:
        self.abort()
        self._fail_with(InvocationBroken(f"the call's body could not be sent: {reason}"))

    # -- what stops it

    def stop(self) -> None:
        """Nobody takes the answer any more."""
        if self._forget() is not None:
            self.abort()

    def pass_by(self) -> None:
        """The time is up."""
        why = f"{self.function} did not answer within {self._seconds:g} s"
        self.end(InvocationTimedOut(why))

    def end(self, verdict: InvocationError) -> None:
        """Stop, and tell why; a function that has seen nothing has not been handed the call."""
        sent = self.sent
        self.abort()
        if sent:
            self._fail_with(verdict)
        else:
            self._fail_with(_not_reached(self.function, self._address, _GIVEN_UP))

    def _fail_with(self, reason: InvocationError) -> None:
        receiver = self._forget()
        if receiver is not None:
            receiver.failed(reason)

    def _forget(self) -> Receiver | None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            self._under_way.let_go(self, self._limit)
        return receiver


class _Call(Exchange):
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
            body if type(body) is bytes else _upload(body, self._body_failed),
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
        reply = FlowingReply(status, _end_to_end(fields), self, pieces)
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
            broken = InvocationBroken(f"{self._function} broke off its answer: {reason}")
            reply.finish(Failure(broken))
        elif isinstance(reason, NotSent):
            self._take_when_replied().errback(self._not_reached(str(reason)))
        else:
            self._take_when_replied().errback(
                InvocationBroken(f"{self._function} broke off before it answered: {reason}")
            )

    def _body_failed(self, reason: Exception) -> None:
        self.abort()
        broken = InvocationBroken(f"the call's body could not be sent: {reason}")
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
            when_replied.errback(self._not_reached(_GIVEN_UP))

    def _not_reached(self, why: str) -> NotHandedOver:
        return _not_reached(self._function, self._address, why)


def _upload(body: bytes | StoredElsewhere, failed: Callable[[Exception], object]) -> bytes | Upload:
    return body if isinstance(body, bytes) else FlowingBody(body.open(), failed)


def _not_reached(function: str, address: str, why: str) -> NotHandedOver:
    return NotHandedOver(f"{function} was not reached at {address}: {why}")


def _end_to_end(fields: Fields) -> Headers:
    if HOP_BY_HOP.isdisjoint([field[0].lower() for field in fields]):
        return fields
    dropped = HOP_BY_HOP | named_by_connection(fields)
    return [field for field in fields if field[0].lower() not in dropped]
