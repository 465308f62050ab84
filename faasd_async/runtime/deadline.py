"""What bounds an invocation: its limit in time, and the end of its runtime.

Both hold from the first moment to the last byte of the reply's body, whoever is waiting for what.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from faasd_async.call.headers import Headers
from faasd_async.errors import InvocationBroken, InvocationError, InvocationTimedOut, NotHandedOver
from faasd_async.runtime.interface import Reply


class UnderWay:
    """The invocations of one runtime that are under way.

    :param clock: measures their limits.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._limits: set[_Limit] = set()

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
        limit = _Limit(function, invoked.cancel, self._limits.discard)
        self._limits.add(limit)
        limit.begin(self._clock, timeout_seconds)
        bounded: Deferred[Reply] = Deferred(lambda _: limit.end(CancelledError()))

        def arrived(reply: Reply) -> None:
            if limit.verdict is None:
                limit.stop = reply.abort
                bounded.callback(_BoundedReply(reply, limit))
            else:
                reply.abort()
                bounded.errback(limit.verdict)

        def failed(reason: Failure) -> None:
            limit.lift()
            bounded.errback(limit.judge(reason))

        invoked.addCallbacks(arrived, failed)
        return bounded

    def abort(self) -> None:
        """Stop all of them: the runtime comes to its end."""
        for limit in list(self._limits):
            limit.end(InvocationBroken(f"{limit.function} was cut off: the daemon lets go of it"))


class _Limit:
    """One invocation's limit.

    :ivar stop: stops the function at the stage it is in.
    :ivar verdict: why the invocation was stopped, once it was.
    """

    def __init__(
        self, function: str, stop: Callable[[], object], forget: Callable[[_Limit], object]
    ) -> None:
        self.function = function
        self.stop = stop
        self.verdict: Exception | None = None
        self._forget = forget

    def begin(self, clock: IReactorTime, seconds: float) -> None:
        passed = InvocationTimedOut(f"{self.function} did not answer within {seconds:g} s")
        self._timer = clock.callLater(seconds, self.end, passed)

    def lift(self) -> None:
        """The invocation has ended."""
        self._forget(self)
        if self._timer.active():
            self._timer.cancel()

    def end(self, verdict: Exception) -> None:
        """Stop the invocation."""
        self.lift()
        if self.verdict is None:
            self.verdict = verdict
            self.stop()

    def judge(self, reason: Failure) -> Failure:
        """What to tell of a failure: the verdict, if it is that which made it fail."""
        if self.verdict is None:
            return reason
        if reason.check(NotHandedOver) and isinstance(self.verdict, InvocationError):
            return reason
        return Failure(self.verdict)


class _BoundedReply:
    """A reply whose body is still under the limit."""

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
        def failed(reason: Failure) -> Failure:
            self._limit.lift()
            return self._limit.judge(reason)

        return self._reply.deliver_to(write).addCallbacks(lambda _: self._limit.lift(), failed)

    def pause(self) -> None:
        self._reply.pause()

    def resume(self) -> None:
        self._reply.resume()

    def abort(self) -> None:
        self._limit.lift()
        self._reply.abort()
