"""Invocations over TLS, by Twisted's HTTP client.

Connections and replies are Twisted's, but not its ``Agent`` (nor treq, which sits on it): both take
a target apart and put it together differently, see :class:`.request.RawRequest`. On the way back
Twisted writes header names in one case and keeps the fields of one name together; their order
within a name is kept, and bodies are not decoded.

When a request is sent a second time is told in :mod:`faasd_async.http.pool`; whether a kept
connection was closed cannot be seen through TLS.
"""

from __future__ import annotations

from typing import cast
from weakref import WeakSet

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import (
    IPushProducer,
    IReactorTime,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web._newclient import (
    HTTP11ClientProtocol,
    HTTPClientParser,
    RequestNotSent,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseNeverReceived,
    _WrapperException,
)
from twisted.web.client import HTTPConnectionPool
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse

from faasd_async.call.headers import HOP_BY_HOP, named_by_connection
from faasd_async.errors import InvocationBroken, NotHandedOver
from faasd_async.http.pool import SAFE_METHODS
from faasd_async.runtime.interface import Invocation, Reply
from faasd_async.runtime.pooled.client import IDLE_SECONDS
from faasd_async.runtime.reply import FlowingReply
from faasd_async.runtime.request import RawRequest

WITHOUT_BODY = frozenset((204, 304))


class TlsClient:
    """The connections to one function, as :class:`.pooled.client.PooledClient`."""

    def __init__(
        self,
        clock: IReactorTime,
        endpoint: IStreamClientEndpoint,
        address: str,
        *,
        max_connections: int,
        connect_timeout_seconds: float,
    ) -> None:
        self._clock = clock
        self._endpoint = endpoint
        self._address = address
        self._connect_timeout_seconds = connect_timeout_seconds
        self._pool = HTTPConnectionPool(clock)
        self._pool.maxPersistentPerHost = max_connections
        self._pool.cachedConnectionTimeout = IDLE_SECONDS
        self._pool.retryAutomatically = False
        self._used: WeakSet[HTTP11ClientProtocol] = WeakSet()

    def open(self) -> None:
        """Nothing is opened before there is a call."""

    def close(self) -> Deferred[None]:
        closed: Deferred[None] = self._pool.closeCachedConnections()
        return closed

    def exchange(self, invocation: Invocation, head: bytes) -> Deferred[Reply]:
        """:return: as of :meth:`.interface.Runtime.invoke`, without a limit of time."""
        return Deferred.fromCoroutine(self._exchange(invocation, head))

    async def _exchange(self, invocation: Invocation, head: bytes) -> Reply:
        lost: InvocationBroken | None = None
        while True:
            try:
                connection = await self._connection(invocation.function)
            except NotHandedOver:
                if lost is None:
                    raise
                raise lost from None
            reused = connection in self._used
            self._used.add(connection)
            body = invocation.body
            sent = body if isinstance(body, bytes) else body.open()
            request = RawRequest(invocation.method, head, sent)
            responding = connection.request(request)
            # Looked up now: a reply without a body is over before it is told of.
            parser = connection._parser
            try:
                response = await responding
            except Exception as reason:
                cause = _cause(reason)
                if isinstance(cause, CancelledError):
                    raise cause from None
                broken = InvocationBroken(
                    f"{invocation.function} broke off before it answered: {_in_words(cause)}"
                )
                if reused and _may_be_sent_again(invocation.method, reason):
                    # What else was kept is as old.
                    self._pool.closeCachedConnections()
                    if not isinstance(reason, RequestNotSent):
                        lost = broken
                    continue
                raise broken from reason
            assert parser is not None
            return _reply(invocation, connection, request, response, parser)

    async def _connection(self, function: str) -> HTTP11ClientProtocol:
        connecting = self._pool.getConnection(self._address, self._endpoint)
        limit_seconds = self._connect_timeout_seconds
        connecting.addTimeout(limit_seconds, self._clock)
        try:
            return await connecting
        except TimeoutError as reason:
            why = f"no connection within {limit_seconds:g} s"
            raise self._not_reached(function, why) from reason
        except (CancelledError, ConnectingCancelledError) as reason:
            why = "given up before there was a connection"
            raise self._not_reached(function, why) from reason
        except Exception as reason:
            raise self._not_reached(function, _in_words(reason)) from reason

    def _not_reached(self, function: str, why: str) -> NotHandedOver:
        return NotHandedOver(f"{function} was not reached at {self._address}: {why}")


def _may_be_sent_again(method: bytes, reason: Exception) -> bool:
    """Whether a request that failed on a kept connection may go out on a fresh one."""
    if isinstance(reason, RequestNotSent):
        return True
    unanswered = isinstance(reason, (RequestTransmissionFailed, ResponseNeverReceived))
    return unanswered and method in SAFE_METHODS


def _cause(reason: BaseException | Failure) -> BaseException:
    """What lies under the wrappers of Twisted's HTTP client."""
    error = reason.value if isinstance(reason, Failure) else reason
    while isinstance(error, _WrapperException) and error.reasons:
        error = error.reasons[0].value
    assert error is not None
    return error


def _in_words(reason: BaseException) -> str:
    return str(reason).rstrip(".") or type(reason).__name__


def _reply(
    invocation: Invocation,
    connection: HTTP11ClientProtocol,
    request: RawRequest,
    response: IResponse,
    parser: HTTPClientParser,
) -> Reply:
    # Twisted keeps what Connection says away from the response it hands out.
    connection_fields = parser.connHeaders.getRawHeaders(b"connection", [])
    dropped = HOP_BY_HOP | named_by_connection(
        [(b"connection", each) for each in connection_fields]
    )
    headers = [
        (name, value)
        for name, values in response.headers.getAllRawHeaders()
        if name.lower() not in dropped
        for value in values
    ]
    without_body = invocation.method == b"HEAD" or response.code in WITHOUT_BODY
    if not without_body and response.length is not UNKNOWN_LENGTH:
        headers.append((b"Content-Length", b"%d" % response.length))
    body = _Body(invocation.function, connection, request, response)
    body.reply = FlowingReply(response.code, headers, body)
    response.deliverBody(body)
    return body.reply


class _Body(Protocol):
    """The body of a response on its way into the reply.

    It is taken from the first byte on, for only so one learns when it was whole and its connection
    belongs to another invocation; what nobody asked for yet is held by the reply.
    """

    reply: FlowingReply

    def __init__(
        self,
        function: str,
        connection: HTTP11ClientProtocol,
        request: RawRequest,
        response: IResponse,
    ) -> None:
        self._function = function
        self._connection = connection
        self._request = request
        self._response = response

    def dataReceived(self, data: bytes) -> None:
        self.reply.feed(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._request.written:
            # The function has answered without reading on; nobody is to wait until it does.
            self.abort()
        elif self._response.version < (b"HTTP", 1, 1):
            # It will close the connection, whatever Twisted's client expects.
            self._connection.abort()
        if reason.check(ResponseDone, PotentialDataLoss):
            self.reply.finish()
        else:
            self.reply.finish(
                Failure(
                    InvocationBroken(
                        f"{self._function} broke off its answer: {_in_words(_cause(reason))}"
                    )
                )
            )

    def pause(self) -> None:
        cast(IPushProducer, self.transport).pauseProducing()

    def resume(self) -> None:
        cast(IPushProducer, self.transport).resumeProducing()

    def abort(self) -> None:
        cast(ITCPTransport, self._connection.transport).abortConnection()
