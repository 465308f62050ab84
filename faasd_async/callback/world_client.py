"""treq over pools of connections whose ends have been looked at, with TLS and a proxy if need be.

It brings much along, and is imported with the first callback that needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from ipaddress import ip_network
from typing import Any

from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar

# Public by its documentation (``trustRoot`` of optionsForClientTLS), if not by its place.
from twisted.internet._sslverify import IOpenSSLTrustRoot
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import Certificate, platformTrust
from twisted.web.client import URI, Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import (
    IAgent,
    IAgentEndpointFactory,
    IBodyProducer,
    IPolicyForHTTPS,
    IResponse,
)
from zope.interface import implementer

from faasd_async.call.route import cut
from faasd_async.callback.destination import literal_address
from faasd_async.callback.plain import IDLE_SECONDS
from faasd_async.callback.receivers import SLOTS
from faasd_async.callback.tunnel import TunnelEndpoint
from faasd_async.callback.way_out import CONNECT_SECONDS, CheckedEndpoint, WayOut
from faasd_async.settings import ProxySettings


def world_client(way: WayOut) -> HTTPClient:
    """An HTTP client with pools of its own; it opens nothing until it is used.

    It takes no cookies: what one receiver sets is nothing to the next callback, and a jar that
    every receiver may fill has no bound.
    """
    trust = _Trust(way.ca_certificates) if way.ca_certificates else None
    ways = _Ways(way, BrowserLikePolicyForHTTPS(trust))
    no_cookies = IndexableCookieJar(policy=DefaultCookiePolicy(allowed_domains=()))
    return HTTPClient(_World(ways), cookiejar=no_cookies)


class _Ways:
    """What each kind of connection is made with."""

    def __init__(self, way: WayOut, tls: IPolicyForHTTPS) -> None:
        self.reactor = way.reactor
        self._way = way
        self._tls = tls

    def endpoint(self, uri: URI, calls_function: bool) -> IStreamClientEndpoint:
        host = uri.host.decode("ascii")
        if uri.scheme != b"https":
            return self._way.endpoint(host, uri.port, calls_function)
        secure = self._tls.creatorForNetloc(uri.host, uri.port)
        proxy = self._way.proxy
        if proxy is None or is_direct(host, uri.port, proxy.except_for):
            return wrapClientTLS(secure, self._way.endpoint(host, uri.port, calls_function))
        return wrapClientTLS(secure, self._tunnel(uri, proxy))

    def _tunnel(self, uri: URI, proxy: ProxySettings) -> TunnelEndpoint:
        # The operator has chosen the proxy, and what lies behind it is for the proxy to say.
        to_proxy = CheckedEndpoint(
            self.reactor, self._way.names, proxy.host, proxy.port, lambda address, port: None
        )
        host = b"[%b]" % uri.host if b":" in uri.host else uri.host
        destination = b"%b:%d" % (host, uri.port)
        authorization = proxy.authorization.value if proxy.authorization else b""
        return TunnelEndpoint(self.reactor, to_proxy, destination, authorization, CONNECT_SECONDS)


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """Of one pool."""

    def __init__(self, make: Callable[[URI], IStreamClientEndpoint]) -> None:
        self._make = make

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:  # noqa: N802 - Twisted's name
        return self._make(uri)


@implementer(IAgent)
class _World:
    """Two agents: a connection over which a function of this daemon may be called is used for
    nothing else. And what comes back is taken as it is: nothing is decompressed.
    """

    def __init__(self, ways: _Ways) -> None:
        self._functions = _agent(ways, calls_function=True)
        self._others = _agent(ways, calls_function=False)

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,  # noqa: N803 - Twisted's name
    ) -> Deferred[IResponse]:
        if headers is not None:
            # treq asks for gzip, and would unpack what it is given, however large that becomes.
            headers.removeHeader(b"Accept-Encoding")
        route = cut(URI.fromBytes(uri).originForm)
        agent = self._others if route is None else self._functions
        return agent.request(method, uri, headers, bodyProducer).addCallback(_as_it_is)


def _as_it_is(response: IResponse) -> IResponse:
    response.headers.removeHeader(b"Content-Encoding")
    return response


def _agent(ways: _Ways, *, calls_function: bool) -> Agent:
    pool = HTTPConnectionPool(ways.reactor)
    pool.maxPersistentPerHost = SLOTS
    pool.cachedConnectionTimeout = IDLE_SECONDS
    pool.retryAutomatically = False
    endpoints = _Endpoints(partial(ways.endpoint, calls_function=calls_function))
    agent: Agent = Agent.usingEndpointFactory(ways.reactor, endpoints, pool)
    return agent


@implementer(IOpenSSLTrustRoot)
class _Trust:
    """The system's authorities, and some more."""

    def __init__(self, certificates: Sequence[bytes]) -> None:
        self._more = [Certificate.loadPEM(each).original for each in certificates]

    def _addCACertsToContext(self, context: Any) -> None:  # noqa: N802 - Twisted's name
        platformTrust()._addCACertsToContext(context)
        store = context.get_cert_store()
        for certificate in self._more:
            store.add_cert(certificate)


def is_direct(host: str, port: int, except_for: Sequence[str]) -> bool:
    """Whether no proxy is asked, by the rules that Go's programs have for ``NO_PROXY``: ``*``, a
    name and those below it, an address or a range of them, each perhaps with a port; and loopback.
    """
    host = host.rstrip(".").lower()
    address = literal_address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    for each in except_for:
        wanted, colon, wanted_port = each.rpartition(":")
        if not colon or not wanted_port.isdigit() or (":" in wanted and "]" not in wanted):
            wanted = each
        elif int(wanted_port) != port:
            continue
        wanted = wanted.strip("[]").lower()
        if wanted == "*" or _is_meant(host, address, wanted):
            return True
    return False


def _is_meant(host: str, address: Any, wanted: str) -> bool:
    if address is not None:
        try:
            return address in ip_network(wanted, strict=False)
        except ValueError:
            return False
    if wanted.startswith((".", "*.")):
        return host.endswith(wanted.lstrip("*"))
    return host == wanted or host.endswith(f".{wanted}")
