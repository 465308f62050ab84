"""An invocation that tells of its answer by calls, and sees to its own limit of time."""

from __future__ import annotations

from faasd_async.errors import InvocationError, InvocationTimedOut
from faasd_async.http.errors import ExchangeError
from faasd_async.http.exchange import Exchange
from faasd_async.runtime.deadline import UnderWay
from faasd_async.runtime.pooled.words import (
    GIVEN_UP,
    body_not_sent,
    no_reply,
    not_reached,
    reply_broken,
)
from faasd_async.wheel import Alarm


class BoundedCall(Exchange):
    """Such an invocation; a :class:`~faasd_async.runtime.deadline.Bounded`.

    Whoever waits for it is forgotten in time, or nobody but the garbage collector would free them.

    :ivar function: the deployment's name.
    """

    # One constructor less in each call: who is made of this sets these, but for those of begin().
    __slots__ = ("_address", "_limit", "_seconds", "_under_way", "function")

    function: str
    _address: str
    _limit: Alarm
    _seconds: float
    _under_way: UnderWay

    def begin(self, under_way: UnderWay, timeout_seconds: float) -> None:
        """Its time runs from now."""
        self._seconds = timeout_seconds
        self._under_way = under_way
        self._limit = under_way.hold(self, timeout_seconds)

    # -- whom it tells

    def _fail(self, reason: InvocationError) -> None:
        """Tell why there is no answer, unless all is told."""
        raise NotImplementedError

    def _forget(self) -> object | None:
        """Lift the limit.

        :return: who waited; ``None``, if nobody does any more.
        """
        raise NotImplementedError

    # -- what the exchange tells

    def failed(self, reason: ExchangeError) -> None:
        if self.status:
            self._fail(reply_broken(self.function, reason))
        else:
            self._fail(no_reply(self.function, self._address, reason))

    def _body_failed(self, reason: Exception) -> None:
        self.abort()
        self._fail(body_not_sent(reason))

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
        self._fail(verdict if sent else not_reached(self.function, self._address, GIVEN_UP))
