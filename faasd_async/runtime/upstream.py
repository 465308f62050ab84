"""A function behind a URL, spoken to in HTTP/1.1 over connections that are kept.

``http`` goes by our own client, ``https`` by Twisted's. Nothing of a request is re-encoded by
either. When one is sent a second time is told in :mod:`faasd_async.http.pool`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint

from faasd_async.call.headers import end_to_end
from faasd_async.call.http_form import StoredFields
from faasd_async.errors import InvocationError, NotHandedOver
from faasd_async.http.endpoint import host_endpoint
from faasd_async.runtime.collect import gather_whole
from faasd_async.runtime.deadline import UnderWay
from faasd_async.runtime.interface import Invocation, Passing, Receiver, Reply, WhenWhole
from faasd_async.runtime.passing import pass_reply
from faasd_async.runtime.pooled.client import PooledClient
from faasd_async.runtime.reactor import IRuntimeReactor
from faasd_async.runtime.request import write_head, write_head_of
from faasd_async.runtime.tls import HandshakenEndpoint
from faasd_async.wheel import Wheel

if TYPE_CHECKING:
    from faasd_async.runtime.tls_client import TlsClient


class Upstream:
    """The :class:`~faasd_async.runtime.interface.Runtime` of a ``url`` function.

    :param url: where it answers, without credentials, query and fragment; a path in it goes
        before every target.
    :param max_inflight: how many connections there are at most.
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
        self._function = function
        self._host_field = (b"Host", parts.netloc.encode("ascii"))
        self._host_line = b"\r\n%b: %b" % self._host_field
        self._base = parts.path.rstrip("/").encode("ascii")
        wheel = Wheel(reactor)
        self._under_way = UnderWay(reactor, wheel)
        self._stopped = False
        self._client: PooledClient | TlsClient
        if parts.scheme == "https":
            # With it comes Twisted's HTTP client: only where there is such a function.
            from faasd_async.runtime.tls_client import TlsClient

            self._client = TlsClient(
                reactor,
                endpoint or _tls_endpoint(reactor, url),
                parts.netloc,
                max_connections=max_inflight,
                connect_timeout_seconds=connect_timeout_seconds,
            )
        else:
            assert parts.hostname is not None
            self._client = PooledClient(
                reactor,
                wheel,
                endpoint or host_endpoint(reactor, parts.hostname, parts.port or 80),
                parts.netloc,
                max_connections=max_inflight,
                connect_timeout_seconds=connect_timeout_seconds,
            )

    def start(self) -> Deferred[None]:
        """Nothing is opened before there is a call."""
        self._stopped = False
        self._client.open()
        return succeed(None)

    def stop(self) -> Deferred[None]:
        self._stopped = True
        self._under_way.abort()
        return self._client.close()

    def invoke(self, invocation: Invocation, timeout_seconds: float) -> Deferred[Reply]:
        return self._under_way.bound(
            invocation.function, timeout_seconds, self.exchange(invocation)
        )

    @property
    def in_flight(self) -> int:
        """How many invocations are under way, those of :meth:`exchange` not counted."""
        return len(self._under_way)

    def when_over(self) -> None:
        """At once: what a function does behind a connection that was closed cannot be seen."""

    def exchange(self, invocation: Invocation) -> Deferred[Reply]:
        """Run one invocation without a limit of time."""
        try:
            head = self._head(invocation)
        except InvocationError as reason:
            return fail(reason)
        return self._client.exchange(invocation, head)

    def invoke_whole(
        self,
        invocation: Invocation,
        timeout_seconds: float,
        most_bytes: int,
        when_whole: WhenWhole,
    ) -> Callable[[], None]:
        """See :class:`~faasd_async.runtime.interface.WholeRuntime`."""
        if not isinstance(self._client, PooledClient):
            replying = self.invoke(invocation, timeout_seconds)
            return gather_whole(replying, most_bytes, when_whole, invocation.spill)
        try:
            head = self._head(invocation)
        except InvocationError as reason:
            when_whole(reason)
            return _nothing
        return self._client.exchange_whole(
            invocation, head, self._under_way, timeout_seconds, most_bytes, when_whole
        )

    def invoke_passing(
        self, invocation: Invocation, timeout_seconds: float, receiver: Receiver
    ) -> Passing:
        """See :class:`~faasd_async.runtime.interface.PassingRuntime`."""
        return self.exchange_passing(invocation, self._under_way, timeout_seconds, receiver)

    def exchange_passing(
        self,
        invocation: Invocation,
        under_way: UnderWay,
        timeout_seconds: float,
        receiver: Receiver,
    ) -> Passing:
        """As :meth:`invoke_passing`.

        :param under_way: what sees to the limit of time, and to the end of whatever uses this.
        """
        if not isinstance(self._client, PooledClient):
            bound = under_way.bound(invocation.function, timeout_seconds, self.exchange(invocation))
            return pass_reply(bound, receiver)
        try:
            head = self._head(invocation)
        except InvocationError as reason:
            return pass_reply(fail(reason), receiver)
        return self._client.exchange_passing(invocation, head, under_way, timeout_seconds, receiver)

    def _head(self, invocation: Invocation) -> bytes:
        if self._stopped:
            raise NotHandedOver(f"{self._function} is stopped")
        target = self._base + invocation.target
        headers = invocation.headers
        if type(headers) is StoredFields and headers.go_on:
            length = b"\r\nContent-Length: %d" % len(invocation.body)
            lines = self._host_line + headers.lines + length
            return write_head_of(invocation.method, target, lines)
        fields = [
            self._host_field,
            *end_to_end(headers, without=(b"host",)),
            (b"Content-Length", b"%d" % len(invocation.body)),
        ]
        return write_head(invocation.method, target, fields)


def _tls_endpoint(reactor: IRuntimeReactor, url: str) -> IStreamClientEndpoint:
    parts = urlsplit(url)
    assert parts.hostname is not None
    # It loads TLS.
    from twisted.internet.ssl import optionsForClientTLS

    return HandshakenEndpoint(
        wrapClientTLS(
            optionsForClientTLS(parts.hostname),
            HostnameEndpoint(reactor, parts.hostname, parts.port or 443),
        )
    )


def _nothing() -> None:
    """There is nothing to stop."""
