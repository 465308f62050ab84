"""A call whose caller waits: the way of its reply."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from faasd_async.call.headers import Headers, first
from faasd_async.call.trace import TRACEPARENT, carried
from faasd_async.errors import InvocationError
from faasd_async.gateway.arrival import Arrival, Tracing, Withhold, forwarded
from faasd_async.gateway.refusal import Refusal, of_invocation_error
from faasd_async.runtime.deployments import Deployment
from faasd_async.runtime.interface import Invocation, Passing

#: The status that is noted of a call whose caller did not wait.
LEFT = 499

#: What is said of a reply besides; see :data:`.outgoing.OURS`.
_OURS = b"X-Call-Id: %b\r\nX-Start-Time: %d\r\nX-Duration-Seconds: %f\r\n"

_log = Logger()


class Caller(Protocol):
    """Who waits for a reply. After the call is over nothing of this is called."""

    def begin(self, status: int, fields: Headers, ours: bytes, pace: IPushProducer) -> None:
        """The head of the reply.

        :param fields: the function's.
        :param ours: as of :meth:`.Outgoing.begin`.
        :param pace: what a slow client pauses.
        """

    def write(self, piece: bytes) -> None:
        """A piece of its body."""

    def flush(self) -> None:
        """Let what is written leave now."""

    def end(self) -> None:
        """The reply is whole."""

    def break_off(self) -> None:
        """The reply will never be whole, and its beginning is out."""

    def refuse(self, refusal: Refusal) -> None:
        """There is no reply."""

    def fail(self, failure: Failure) -> None:
        """There is a bug, and no reply or the rest of none."""


class Invoked(Protocol):
    """Is told how a call ended."""

    def __call__(
        self, function: str, call_id: str, status: int, seconds: float, traceparent: bytes = b""
    ) -> None: ...


@implementer(IPushProducer)
class Passage:
    """One call while its caller waits; a token of its deployment is held until it is over."""

    __slots__ = (
        "_began", "_caller", "_clock", "_deployment", "_has_begun", "_invoked", "_passing",
        "_status", "_traceparent", "_tracing", "over",
    )  # fmt: skip

    def __init__(
        self,
        deployment: Deployment,
        tracing: Tracing,
        caller: Caller,
        clock: IReactorTime,
        invoked: Invoked,
    ) -> None:
        self._deployment = deployment
        self._tracing = tracing
        self._caller = caller
        self._clock = clock
        self._invoked = invoked
        self._began = clock.seconds()
        self._status = LEFT
        self._traceparent = b""
        self._has_begun = False
        self._passing: Passing | None = None
        self.over = False

    def begin(self, arrival: Arrival, withhold: Withhold | None, begins_trace: bool) -> None:
        """Invoke the function."""
        headers = forwarded(arrival, self._tracing)
        if begins_trace or first(headers, TRACEPARENT) is not None:
            headers, self._traceparent = carried(headers, begins=begins_trace)
        assert type(arrival.body) is bytes
        invocation = Invocation(
            function=self._deployment.name,
            call_id=self._tracing.key.call_id,
            method=arrival.method,
            target=arrival.route.target,
            headers=headers if withhold is None else withhold(headers),
            body=arrival.body,
        )
        limit_seconds = self._deployment.settings.timeout_seconds
        try:
            passing = self._deployment.invoke_passing(invocation, limit_seconds, self)
        except Exception:
            self._broke()
            return
        if self.over:
            passing.stop()
        else:
            self._passing = passing

    def leave(self) -> None:
        """The caller has left: let go of the function."""
        passing = self._passing
        if not self.over and passing is not None:
            passing.stop()
            # Whoever does not hear of it would hold the token for ever.
            self._end()

    # -- how it goes on; a bug must not keep the token

    def replied(self, status: int, headers: Headers) -> None:
        if self.over:
            return
        self._has_begun = True
        self._status = status
        seconds = self._clock.seconds() - self._began
        key, start_time_ns = self._tracing
        ours = _OURS % (key.call_id.encode(), start_time_ns, seconds)
        try:
            self._caller.begin(status, headers, ours, self)
        except Exception:
            self._broke()

    def received(self, piece: bytes) -> None:
        if self.over:
            return
        try:
            self._caller.write(piece)
        except Exception:
            self._broke()

    def flush(self) -> None:
        # Now, not with the next piece of the body: that may be long in coming.
        if self.over:
            return
        try:
            self._caller.flush()
        except Exception:
            self._broke()

    def ended(self) -> None:
        try:
            if self._end():
                self._caller.end()
        except Exception:
            self._broke()

    def failed(self, reason: Exception) -> None:
        try:
            if isinstance(reason, InvocationError):
                self._tell(reason)
            elif isinstance(reason, CancelledError):
                self._end()
            elif self._end():
                self._caller.fail(Failure(reason))
        except Exception:
            self._broke()

    def _tell(self, reason: InvocationError) -> None:
        if self._has_begun:
            # The head is out: only a cut connection can say that this is not the whole.
            _log.warn(
                "the reply of {function} broke off: {reason}, call {call_id}",
                function=self._deployment.name,
                reason=str(reason),
                call_id=self._tracing.key.call_id,
            )
            if self._end():
                self._caller.break_off()
            return
        self._status = reason.status
        refusal = of_invocation_error(reason)
        refusal.fields = (*self._tracing.fields, *refusal.fields)
        if self._end():
            self._caller.refuse(refusal)

    def _broke(self) -> None:
        """There is a bug: it is being handled."""
        failure = Failure()
        if self._passing is not None:
            # Nobody reads on; what goes on there must not go on for nobody.
            self._passing.stop()
        if self._end():
            self._caller.fail(failure)
        else:
            _log.failure("a reply failed inside the gateway", failure=failure)

    def _end(self) -> bool:
        """:return: whether it was not over before."""
        if self.over:
            return False
        self.over = True
        self._deployment.release()
        seconds = self._clock.seconds() - self._began
        call_id = self._tracing.key.call_id
        name, status = self._deployment.name, self._status
        self._invoked(name, call_id, status, seconds, self._traceparent)
        return True

    # -- a slow client pauses the function

    def pauseProducing(self) -> None:
        if self._passing is not None:
            self._passing.pause()

    def resumeProducing(self) -> None:
        if self._passing is not None:
            self._passing.resume()

    def stopProducing(self) -> None:
        """The client has left: :meth:`leave` follows."""
