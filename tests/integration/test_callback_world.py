"""Callbacks on their way out: names, proxies, certificates, answers not to be believed."""

from __future__ import annotations

import gzip
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, ClassVar

import pytest
import pytest_twisted
import treq
from certificates import Authority
from listener import Listener, Received
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate

from faasd_async.call.callback_url import parse
from faasd_async.call.ids import CallKey
from faasd_async.call.request import CallbackRequest
from faasd_async.callback.destination import DestinationPolicy
from faasd_async.callback.names import Names
from faasd_async.callback.tried import Try
from faasd_async.callback.way_out import WayOut
from faasd_async.callback.world import World
from faasd_async.callback.world_client import world_client
from faasd_async.settings import ProxySettings, Secret

TWISTED_HANDS_OPENSSL_ITS_OWN = pytest.mark.filterwarnings(
    "ignore:Passing pyOpenSSL X509 objects is deprecated:DeprecationWarning",
    "ignore:Passing pyOpenSSL PKey objects is deprecated:DeprecationWarning",
)


class Post:
    """Sends callbacks as the daemon does.

    :ivar stands_for: what each name means.
    """

    def __init__(self, reactor: Any, own_port: int = 0, **world: Any) -> None:
        self.stands_for: dict[str, str] = {}
        self.asked: list[str] = []
        policy = DestinationPolicy(True, lambda: (own_port,))
        refuse = world.pop("refuse", policy.refuse_address)
        self.way = way = WayOut(reactor, Names(reactor, self._look_up), refuse, **world)
        self._sender = World(reactor, lambda function: 30.0, way)

    def _look_up(self, host: str, *rest: object) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        return [(2, 1, 6, "", (self.stands_for[host], 0))]

    async def to(self, url: str) -> Try:
        callback = CallbackRequest("f", CallKey("1", "0"), parse(url.encode()), [], b"the answer")
        return await self._sender.send(callback)


@pytest.mark.parametrize("host", ["my_service", "a_b.c_d", "_x.test"])
@pytest_twisted.ensureDeferred
async def test_a_host_with_an_underscore(reactor: Any, listener: Listener, host: str) -> None:
    """Containers are called so; it is looked up and called as it is written."""
    post = Post(reactor)
    post.stands_for[host] = "127.0.0.1"
    assert (await post.to(f"http://{host}:{listener.port}/x")).status == 200
    assert listener.requests[0].header("Host") == f"{host}:{listener.port}"


@pytest.mark.parametrize("target", ["/system/functions", "/healthz", "/x?/function/f"])
@pytest_twisted.ensureDeferred
async def test_a_connection_for_functions_serves_nothing_else(
    reactor: Any, listener: Listener, target: str
) -> None:
    """A name that stands for this daemon leads to functions; a connection that was made to one is
    not used for another route. Without the guard the route is reached."""
    post = Post(reactor, own_port=listener.port)
    post.stands_for["me.test"] = "127.0.0.1"
    base = f"http://me.test:{listener.port}"
    assert (await post.to(f"{base}/function/f")).status == 200
    refused = await post.to(base + target)
    assert (refused.status, refused.error) == (0, "of this daemon only functions can be called")
    assert [each.target for each in listener.requests] == [b"/function/f"]
    unguarded = Post(reactor, own_port=listener.port, refuse=lambda *asked: None)
    unguarded.stands_for["me.test"] = "127.0.0.1"
    assert (await unguarded.to(base + target)).status == 200


REDIRECTS = [
    "http://169.254.169.254/latest/meta-data/",
    "http://127.0.0.1:{port}/system/functions",
    "//0x7f000001:{port}/elsewhere",
]


@pytest.mark.parametrize("location", REDIRECTS)
@pytest_twisted.ensureDeferred
async def test_a_redirect_leads_nowhere(reactor: Any, listener: Listener, location: str) -> None:
    """It is an answer, and not followed; a client that follows it would connect there."""
    where = location.format(port=listener.port)

    def answer(request: Received) -> None:
        request.answer(303 if request.target == b"/first" else 200, Location=where)

    listener.on_request = answer
    connected: list[str] = []

    def note(address: str, port: int, calls_function: bool) -> str | None:
        connected.append(address)
        return "not in a test" if address == "169.254.169.254" else None

    post = Post(reactor, refuse=note)
    first = f"http://127.0.0.1:{listener.port}/first"
    assert (await post.to(first)).status == 303
    assert (connected, len(listener.requests)) == (["127.0.0.1"], 1)

    unguarded = Deferred.fromCoroutine(_followed(world_client(post.way), first))
    await unguarded.addErrback(lambda failure: None)
    assert connected[2:] == ["169.254.169.254"] or listener.requests[2].method == "GET"


async def _followed(client: HTTPClient, url: str) -> None:
    await client.post(url, data=b"the answer", allow_redirects=True)


BOMBS = {
    "gzip": gzip.compress(bytes(50_000_000)),
    "gzip, gzip": gzip.compress(gzip.compress(bytes(50_000_000))),
    "identity, gzip": gzip.compress(bytes(50_000_000)),
}


@pytest.mark.parametrize("encoding", BOMBS)
@pytest_twisted.ensureDeferred
async def test_an_answer_is_never_unpacked(
    reactor: Any, listener: Listener, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large it would become; nor is a compressed one asked for. Without the guard the
    client would unpack it."""
    unpacked: list[object] = []

    def unpack(response: Any) -> Any:
        unpacked.append(response)
        return response

    monkeypatch.setattr("treq.client.GzipDecoder", unpack)
    listener.on_request = lambda request: request.answer(
        200, BOMBS[encoding], Content_Encoding=encoding
    )
    client = world_client(Post(reactor).way)
    assert (await Post(reactor).to(listener.url())).status == 200
    await treq.content(await client.post(listener.url(), data=b"x"))
    assert unpacked == []
    assert [each.header("Accept-Encoding") for each in listener.requests] == [None, None]
    monkeypatch.setattr("faasd_async.callback.world_client._as_it_is", lambda response: response)
    with suppress(Exception):
        await treq.content(await client.post(listener.url(), data=b"x"))
    assert unpacked != []


class Proxy(Protocol):
    """Agrees to everything, and connects to the one place there is."""

    heads: ClassVar[list[bytes]] = []
    answer = b"HTTP/1.1 200 Connected\r\n\r\n"
    port = 0

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._said = b""
        self.other: Any = None

    def dataReceived(self, data: bytes) -> None:
        if self.other is not None:
            self.other.transport.write(data)
            return
        self._said += data
        if self._said.endswith(b"\r\n\r\n"):
            self.heads.append(self._said)
            factory = Factory.forProtocol(lambda: _Far(self))
            factory.noisy = False
            self._reactor.connectTCP("127.0.0.1", self.port, _client(factory))

    def connectionLost(self, reason: object = None) -> None:
        if self.other is not None:
            self.other.transport.abortConnection()


class _Far(Protocol):
    def __init__(self, near: Proxy) -> None:
        self._near = near

    def connectionMade(self) -> None:
        self._near.other = self
        assert self._near.transport is not None
        self._near.transport.write(self._near.answer)

    def dataReceived(self, data: bytes) -> None:
        assert self._near.transport is not None
        self._near.transport.write(data)


def _client(factory: Any) -> Any:
    from twisted.internet.protocol import ClientFactory

    client = ClientFactory()
    client.noisy = False
    client.protocol = factory.buildProtocol
    client.buildProtocol = factory.buildProtocol  # type: ignore[method-assign]
    return client


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest_twisted.async_yield_fixture
async def tls_listener(
    reactor: Any, listener: Listener, authority: Authority
) -> AsyncIterator[int]:
    """The port where the listener speaks TLS as ``far.test``."""
    factory = listener._listening.factory  # type: ignore[union-attr]
    port = reactor.listenSSL(0, factory, authority.serve_as("far.test"), interface="127.0.0.1")
    yield port.getHost().port
    await port.stopListening()


@TWISTED_HANDS_OPENSSL_ITS_OWN
@pytest_twisted.ensureDeferred
async def test_an_authority_of_the_operators(
    reactor: Any, listener: Listener, tls_listener: int, authority: Authority
) -> None:
    """It counts besides the system's; without it the certificate is nobody's."""
    Certificate.loadPEM(authority.pem)
    url = f"https://far.test:{tls_listener}/x"
    for certificates, wanted in (((), 0), ((authority.pem,), 200)):
        post = Post(reactor, ca_certificates=certificates)
        post.stands_for["far.test"] = "127.0.0.1"
        tried = await post.to(url)
        assert tried.status == wanted
        assert ("TLS: certificate verify failed" in tried.error) == (wanted == 0)
    another = Post(reactor, ca_certificates=(authority.pem,))
    another.stands_for["near.test"] = "127.0.0.1"
    assert (await another.to(f"https://near.test:{tls_listener}/x")).status == 0


@TWISTED_HANDS_OPENSSL_ITS_OWN
@pytest_twisted.ensureDeferred
async def test_https_goes_through_the_proxy(
    reactor: Any, listener: Listener, tls_listener: int, authority: Authority
) -> None:
    """It is told name and port and who asks, and sees nothing else; http goes straight, and so does
    what the operator excepts."""
    Proxy.heads, Proxy.port = [], tls_listener
    factory = Factory.forProtocol(lambda: Proxy(reactor))
    factory.noisy = False
    listening = reactor.listenTCP(0, factory, interface="127.0.0.1")
    proxy = ProxySettings(
        host="proxy.test",
        port=listening.getHost().port,
        authorization=Secret(b"Basic " + b64encode(b"me:pw")),
        except_for=("near.test",),
    )
    post = Post(reactor, proxy=proxy, ca_certificates=(authority.pem,))
    post.stands_for = dict.fromkeys(("proxy.test", "near.test"), "127.0.0.1")
    try:
        assert (await post.to("https://far.test:4443/secret-path")).status == 200
        [head] = Proxy.heads
        assert head.splitlines()[0] == b"CONNECT far.test:4443 HTTP/1.1"
        assert b"Proxy-Authorization: Basic " + b64encode(b"me:pw") in head
        assert b"secret-path" not in head
        assert post.asked == ["proxy.test"]
        assert listener.requests[0].target == b"/secret-path"
        assert listener.requests[0].header("Proxy-Authorization") is None
        near = await post.to(f"http://near.test:{listener.port}/")
        assert near.status == 200
        direct = await post.to(f"https://near.test:{tls_listener}/")
        assert direct.status == 0  # the certificate is for another name
        assert len(Proxy.heads) == 1
    finally:
        await listening.stopListening()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 407 Who are you\r\n\r\n", "the proxy refuses the connection: 407"),
        (b"SSH-2.0\r\n\r\n", "the proxy refuses the connection: no HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000, "the proxy's answer is too long"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_proxy_that_does_not_connect(
    reactor: Any, listener: Listener, answer: bytes, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The callback is told why, and nothing is sent."""
    monkeypatch.setattr(Proxy, "answer", answer)
    Proxy.port = listener.port
    factory = Factory.forProtocol(lambda: Proxy(reactor))
    factory.noisy = False
    listening = reactor.listenTCP(0, factory, interface="127.0.0.1")
    proxy = ProxySettings(host="127.0.0.1", port=listening.getHost().port)
    try:
        tried = await Post(reactor, proxy=proxy).to("https://far.test/")
        assert (tried.status, tried.error) == (0, error)
        assert listener.requests == []
    finally:
        await listening.stopListening()
