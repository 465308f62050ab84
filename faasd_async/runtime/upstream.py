"""A function behind a URL, spoken to in HTTP/1.1 over connections that are kept.

Connections and replies are those of Twisted's HTTP client, but not its ``Agent`` (nor treq, which
sits on it): both take a target apart and put it together differently, see
:class:`.request.RawRequest`. On the way back Twisted writes header names in one case and keeps the
fields of one name together; their order within a name is kept, and bodies are not decoded.

**A connection that was kept** may have been closed by the function while the request was on its
way, and whether a request was read cannot be known then. So connections are dropped before
common servers do it (gunicorn: 2 s, uvicorn and Node.js: 5 s); each is looked at before it is used
again; and if one fails all the same without a byte of an answer, only a request that changes
nothing (RFC 9110 §9.2.1) is sent a second time. Any other is broken.
"""

from __future__ import annotations

import socket
from typing import cast
from urllib.parse import urlsplit
from weakref import WeakSet

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    IStreamClientEndpoint,
    ISystemHandle,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure
from twisted.web._newclient import (
    HTTP11ClientProtocol,
    RequestNotSent,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseNeverReceived,
    _WrapperException,
)
from twisted.web.client import HTTPConnectionPool
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface import implementer

from faasd_async.call.headers import HOP_BY_HOP, end_to_end
from faasd_async.errors import InvocationBroken, NotHandedOver
from faasd_async.runtime.deadline import UnderWay
from faasd_async.runtime.interface import Invocation, Reply
from faasd_async.runtime.reactor import IRuntimeReactor
from faasd_async.runtime.reply import FlowingReply
from faasd_async.runtime.request import RawRequest, write_head
from faasd_async.runtime.tls import HandshakenEndpoint

IDLE_SECONDS = 1
SAFE_METHODS = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE"))
WITHOUT_BODY = frozenset((204, 304))


class Upstream:
    """The :class:`~faasd_async.runtime.interface.Runtime` of a ``url`` function.

    :param url: where it answers, without credentials, query and fragment; a path in it goes
        before every target.
    :param max_inflight: how many connections are kept at most.
    :param endpoint: reaches the host of *url*; by default over TCP, with TLS and the trust of the
        system for ``https``.
    """

    def __init__(
        self,
        reactor: IRuntimeReactor,
        function: str,
        url: str,
        *,
        max_inflight: int,
        connect_timeout_seconds: float,
        endpoint: IStreamClientEndpoint | None = None,
    ) -> None:
        parts = urlsplit(url)
        self._reactor = reactor
        self._function = function
        self._authority = parts.netloc.encode("ascii")
        self._base = parts.path.rstrip("/").encode("ascii")
        self._connect_timeout_seconds = connect_timeout_seconds
        self._endpoint = endpoint or _endpoint(reactor, url)
        self._under_way = UnderWay(reactor)
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = max_inflight
        self._pool.cachedConnectionTimeout = IDLE_SECONDS
        self._pool.retryAutomatically = False
        self._used: WeakSet[HTTP11ClientProtocol] = WeakSet()
        self._stopped = False

    def start(self) -> Deferred[None]:
        """Nothing is opened before there is a call."""
        self._stopped = False
        return succeed(None)

    def stop(self) -> Deferred[None]:
        self._stopped = True
        self._under_way.abort()
        closed: Deferred[None] = self._pool.closeCachedConnections()
        return closed

    def invoke(self, invocation: Invocation, timeout_seconds: float) -> Deferred[Reply]:
        return self._under_way.bound(
            invocation.function,
            timeout_seconds,
            Deferred.fromCoroutine(self.exchange(invocation)),
        )

    async def exchange(self, invocation: Invocation) -> Reply:
        """Run one invocation without a limit of time."""
        if self._stopped:
            raise NotHandedOver(f"{self._function} is stopped")
        head = self._head(invocation)
        while True:
            connection = await self._connection()
            reused = connection in self._used
            self._used.add(connection)
            request = RawRequest(invocation.method, head, invocation.body)
            try:
                response = await connection.request(request)
            except Exception as reason:
                cause = _cause(reason)
                if isinstance(cause, CancelledError):
                    raise cause from None
                if reused and _may_be_sent_again(invocation.method, reason):
                    # What else was kept is as old.
                    self._pool.closeCachedConnections()
                    continue
                raise InvocationBroken(
                    f"{self._function} broke off before it answered: {_in_words(cause)}"
                ) from reason
            return _reply(invocation, connection, request, response)

    def _head(self, invocation: Invocation) -> bytes:
        fields = [
            (b"Host", self._authority),
            *end_to_end(invocation.headers, without=(b"host",)),
            (b"Content-Length", b"%d" % len(invocation.body)),
        ]
        return write_head(invocation.method, self._base + invocation.target, fields)

    async def _connection(self) -> HTTP11ClientProtocol:
        """A connection on which nobody has hung up yet, as far as can be seen from here."""
        while True:
            connecting = self._pool.getConnection(self._authority, self._endpoint)
            connecting.addTimeout(self._connect_timeout_seconds, self._reactor, self._too_late)
            try:
                connection = await connecting
            except NotHandedOver:
                raise
            except (CancelledError, ConnectingCancelledError) as reason:
                raise self._not_reached("given up before there was a connection") from reason
            except Exception as reason:
                raise self._not_reached(_in_words(reason)) from reason
            if connection not in self._used or not _hung_up(connection):
                return connection
            connection.abort()

    def _too_late(
        self, connected: HTTP11ClientProtocol | Failure, seconds: float
    ) -> HTTP11ClientProtocol:
        if isinstance(connected, Failure):
            raise self._not_reached(f"no connection within {seconds:g} s")
        return connected

    def _not_reached(self, why: str) -> NotHandedOver:
        return NotHandedOver(
            f"{self._function} was not reached at {self._authority.decode()}: {why}"
        )


def _endpoint(reactor: IRuntimeReactor, url: str) -> IStreamClientEndpoint:
    parts = urlsplit(url)
    assert parts.hostname is not None
    if parts.scheme == "https":
        return HandshakenEndpoint(
            wrapClientTLS(
                optionsForClientTLS(parts.hostname),
                HostnameEndpoint(reactor, parts.hostname, parts.port or 443),
            )
        )
    return _Quietly(HostnameEndpoint(reactor, parts.hostname, parts.port or 80))


@implementer(IStreamClientEndpoint)
class _Quietly:
    """Connects without two lines in the log for each connection, as Twisted's pool would have."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def connect(
        self,
        protocolFactory: IProtocolFactory,  # noqa: N803 - Twisted's name
    ) -> Deferred[IProtocol]:
        cast(Factory, protocolFactory).noisy = False
        return self._endpoint.connect(protocolFactory)


def _hung_up(connection: HTTP11ClientProtocol) -> bool:
    """Whether the function has closed a kept connection and the reactor does not know yet."""
    transport = connection.transport
    handle = transport.getHandle() if ISystemHandle.providedBy(transport) else None
    if not isinstance(handle, socket.socket):
        return False
    try:
        handle.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True  # an end, or an answer to nothing


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
) -> Reply:
    headers = [
        (name, value)
        for name, values in response.headers.getAllRawHeaders()
        if name.lower() not in HOP_BY_HOP
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
