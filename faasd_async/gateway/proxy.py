"""The synchronous door: pass the call on now, and the reply back as it comes."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from faasd_async.call.headers import replaced
from faasd_async.call.route import FunctionRoute
from faasd_async.errors import InvocationError
from faasd_async.gateway.arrival import Arrival, Directory, Tracing, forwarded, trace
from faasd_async.gateway.channel import GatewayRequest
from faasd_async.gateway.refusal import (
    RETRY_SOON,
    Refusal,
    body_too_large,
    not_allowed,
    of_invocation_error,
)
from faasd_async.runtime.deployments import Deployment
from faasd_async.runtime.interface import Invocation, Reply

#: What no function is ever asked.
NEVER = frozenset((b"CONNECT", b"TRACE"))
_ALLOWED = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS")


class Proxy:
    """Makes calls while their callers wait.

    :param now_ns: the wall clock, Unix nanoseconds.
    :param invoked: told how each call ended: function, call id, status, seconds.
    """

    _log = Logger()

    def __init__(
        self,
        directory: Directory,
        *,
        clock: IReactorTime,
        now_ns: Callable[[], int],
        invoked: Callable[[str, str, int, float], None],
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._now_ns = now_ns
        self._invoked = invoked

    def find(self, method: bytes, route: FunctionRoute) -> Deployment:
        """Whom a call is for.

        :raises Refusal: 405, or that there is nobody.
        """
        if method in NEVER:
            raise not_allowed(*_ALLOWED)
        return self._directory.find(route)

    async def pass_through(self, arrival: Arrival, request: GatewayRequest) -> None:
        """Answer *request* with the function's reply.

        :raises Refusal: there is none, and nothing has been written yet.
        """
        deployment = self.find(arrival.method, arrival.route)
        if len(arrival.body) > deployment.settings.max_body_bytes:
            raise body_too_large(deployment.settings.max_body_bytes)
        if not deployment.free:
            raise Refusal(
                429,
                f"{deployment.name} runs {deployment.settings.max_inflight} calls already",
                RETRY_SOON,
            )
        tracing = trace(arrival, self._now_ns())
        await deployment.tokens.acquire()
        began = self._clock.seconds()
        status = 499
        try:
            reply = await self._invoke(deployment, arrival, tracing)
            status = reply.status
            self._write_head(request, reply, tracing, self._clock.seconds() - began)
            await self._write_body(request, reply, tracing)
        except InvocationError as reason:
            status = reason.status
            raise of_invocation_error(reason) from reason
        finally:
            deployment.release()
            seconds = self._clock.seconds() - began
            self._invoked(deployment.name, tracing.key.call_id, status, seconds)

    async def _invoke(self, deployment: Deployment, arrival: Arrival, tracing: Tracing) -> Reply:
        invocation = Invocation(
            function=deployment.name,
            call_id=tracing.key.call_id,
            method=arrival.method,
            target=arrival.route.target,
            headers=forwarded(arrival, tracing),
            body=arrival.body,
        )
        return await deployment.invoke(invocation, deployment.settings.timeout_seconds)

    def _write_head(
        self, request: GatewayRequest, reply: Reply, tracing: Tracing, seconds: float
    ) -> None:
        request.setResponseCode(reply.status)
        ours = (*tracing.fields, (b"X-Duration-Seconds", b"%f" % seconds))
        fields = replaced(reply.headers, ours)
        for name, _ in fields:
            request.responseHeaders.removeHeader(name)
        for name, value in fields:
            request.responseHeaders.addRawHeader(name, value)
        # Now, not with the first piece of the body: that may be long in coming.
        request.write(b"")

    async def _write_body(self, request: GatewayRequest, reply: Reply, tracing: Tracing) -> None:
        request.registerProducer(_Pace(reply), True)
        try:
            await reply.deliver_to(request.write)
        except InvocationError as reason:
            # The head is out: only a cut connection can say that this is not the whole.
            self._log.warn(
                "the reply of {function} broke off: {reason}, call {call_id}",
                function=request.route and request.route.name,
                reason=str(reason),
                call_id=tracing.key.call_id,
            )
            request.break_off()
        else:
            request.unregisterProducer()


@implementer(IPushProducer)
class _Pace:
    """Lets a slow client pause the function."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def pauseProducing(self) -> None:
        self._reply.pause()

    def resumeProducing(self) -> None:
        self._reply.resume()

    def stopProducing(self) -> None:
        """The client has left: with its request, what waits for the reply is cancelled."""
