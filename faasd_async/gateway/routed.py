"""A caller who came through the routes, for the synchronous door."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure

from faasd_async.call.headers import Headers
from faasd_async.gateway.arrival import Arrival
from faasd_async.gateway.outgoing import CLOSE_LINE, Outgoing
from faasd_async.gateway.proxy import Proxy
from faasd_async.gateway.refusal import Refusal
from faasd_async.gateway.request import GatewayRequest


async def pass_through(proxy: Proxy, arrival: Arrival, request: GatewayRequest) -> None:
    """Answer *request* with the function's reply.

    :raises Refusal: there is none, and nothing has been written yet.
    """
    caller = RoutedCaller(request)
    passage = proxy.pass_on(arrival, caller)
    try:
        await caller.answered
    except CancelledError:
        if passage is not None:
            passage.leave()
        raise


class RoutedCaller:
    """See :class:`~.passage.Caller`.

    :ivar answered: fires when the reply is out; fails with what there is instead of it.
    """

    def __init__(self, request: GatewayRequest) -> None:
        self.answered: Deferred[None] = Deferred()
        self._request = request
        knows_chunks = request.clientproto == b"HTTP/1.1"
        self._out = Outgoing(request.channel.write, request.method, knows_chunks)

    def begin(self, status: int, fields: Headers, ours: bytes, pace: IPushProducer) -> None:
        request = self._request
        # Written without twisted.web, which would put the fields into an order of its own.
        request.startedWriting = 1
        request.code = status
        if request.responseHeaders.hasHeader(b"Connection"):
            ours += CLOSE_LINE
        self._out.begin(status, request.channel.site.date(), fields, ours)
        request.registerProducer(pace, True)

    def write(self, piece: bytes) -> None:
        self._out.write(piece)

    def flush(self) -> None:
        self._out.flush()

    def end(self) -> None:
        self._out.end()
        self._request.unregisterProducer()
        self.answered.callback(None)

    def break_off(self) -> None:
        self._out.flush()
        self._request.break_off()
        self.answered.callback(None)

    def refuse(self, refusal: Refusal) -> None:
        self.answered.errback(refusal)

    def fail(self, failure: Failure) -> None:
        self._out.flush()
        self.answered.errback(failure)
