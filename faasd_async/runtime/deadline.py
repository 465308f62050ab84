"""What bounds an invocation: its limit in time, and the end of its runtime.

Both hold from the first moment to the last byte of the reply's body, whoever is waiting for what.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from faasd_async.call.headers import Headers
from faasd_async.errors import InvocationBroken, InvocationError, InvocationTimedOut, NotHandedOver
from faasd_async.runtime.interface import Reply
from faasd_async.wheel import Alarm, Wheel


class Bounded(Protocol):
    """A call that can be stopped."""

    @property
    def function(self) -> str: ...

    def pass_by(self) -> None:
        """The time is up."""

    def end(self, verdict: InvocationError) -> None:
        """Stop, and tell why."""


class UnderWay:
    """The invocations of one runtime that are under way.

    :param clock: measures their limits.
    :param wheel: on the same clock, if others use one already.
    """

    def __init__(self, clock: IReactorTime, wheel: Wheel | None = None) -> None:
        self._wheel = Wheel(clock) if wheel is None else wheel
        self._limits: set[Bounded] = set()

    def __len__(self) -> int:
        return len(self._limits)

    def bound(
        self, function: str, timeout_seconds: float, invoked: Deferred[Reply]
    ) -> Deferred[Reply]:
        """Put an invocation under its limit.

        :param invoked: fires with the reply's head; cancelling it stops the function. If it fails
            with :class:`~faasd_async.errors.NotHandedOver` when cancelled, that is what is told
            in place of a time-out: then the function has seen nothing.
        :return: the bounded reply; cancelling it cancels *invoked*.
        """
        limit = _Limit(function, timeout_seconds, invoked, self._limits)
        limit.alarm = self._wheel.after(timeout_seconds, limit.pass_by)
        bounded = limit.bounded
        invoked.addCallbacks(limit.arrived, limit.failed)
        return bounded

    def hold(self, call: Bounded, timeout_seconds: float) -> Alarm:
        """Put a call under its limit that sees to its own end.

        :return: its limit, for :meth:`let_go`.
        """
        self._limits.add(call)
        return self._wheel.after(timeout_seconds, call.pass_by)

    def let_go(self, call: Bounded, limit: Alarm) -> None:
        """The call has ended."""
        self._limits.discard(call)
        limit.cancel()

    def abort(self) -> None:
        """Stop all of them: the runtime comes to its end."""
        for limit in list(self._limits):
            limit.end(InvocationBroken(f"{limit.function} was cut off: the daemon lets go of it"))


class _Limit:
    """One invocation's limit.

    :ivar alarm: rings when it has passed.
    :ivar bounded: fires with the reply, and is forgotten then: it knows the limit, to be cancelled.
    """

    __slots__ = ("_limits", "_seconds", "_stop", "_verdict", "alarm", "bounded", "function")

    alarm: Alarm

    def __init__(
        self, function: str, seconds: float, invoked: Deferred[Reply], limits: set[Bounded]
    ) -> None:
        self.function = function
        self.bounded: Deferred[Reply] = Deferred(self._cancelled)
        self._seconds = seconds
        # Stops the function at the stage it is in.
        self._stop: Callable[[], object] = invoked.cancel
        # Why it was stopped, once it was.
        self._verdict: Exception | None = None
        self._limits = limits
        limits.add(self)

    def arrived(self, reply: Reply) -> None:
        """The reply's head is there."""
        bounded = self.bounded
        del self.bounded
        if self._verdict is None:
            self._stop = reply.abort
            bounded.callback(_BoundedReply(reply, self))
        else:
            reply.abort()
            bounded.errback(self._verdict)

    def failed(self, reason: Failure) -> None:
        """There is no reply."""
        self.lift()
        bounded = self.bounded
        del self.bounded
        bounded.errback(self.judge(reason))

    def pass_by(self) -> None:
        """The time is up."""
        self.end(InvocationTimedOut(f"{self.function} did not answer within {self._seconds:g} s"))

    def lift(self) -> None:
        """The invocation has ended."""
        self._limits.discard(self)
        self.alarm.cancel()

    def end(self, verdict: Exception) -> None:
        """Stop the invocation."""
        self.lift()
        if self._verdict is None:
            self._verdict = verdict
            self._stop()

    def judge(self, reason: Failure) -> Failure:
        """What to tell of a failure: the verdict, if it is that which made it fail."""
        if self._verdict is None:
            return reason
        if reason.check(NotHandedOver) and isinstance(self._verdict, InvocationError):
            return reason
        return Failure(self._verdict)

    def _cancelled(self, _: object) -> None:
        self.end(CancelledError())


class _BoundedReply:
    """A reply whose body is still under the limit."""

    __slots__ = ("_limit", "_reply")

    def __init__(self, reply: Reply, limit: _Limit) -> None:
        self._reply = reply
        self._limit = limit

    @property
    def status(self) -> int:
        return self._reply.status

    @property
    def headers(self) -> Headers:
        return self._reply.headers

    def deliver_to(self, write: Callable[[bytes], object]) -> Deferred[None]:
        return self._reply.deliver_to(write).addCallbacks(self._delivered, self._broken)

    def pause(self) -> None:
        self._reply.pause()

    def resume(self) -> None:
        self._reply.resume()

    def abort(self) -> None:
        self._limit.lift()
        self._reply.abort()

    def _delivered(self, _: None) -> None:
        self._limit.lift()

    def _broken(self, reason: Failure) -> Failure:
        self._limit.lift()
        return self._limit.judge(reason)
