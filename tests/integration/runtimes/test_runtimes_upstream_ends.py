"""How calls of a function behind a URL come to a bad end, or to none, over real sockets."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import pytest
import pytest_twisted
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from raw_peer import MIB, NEVER, OK, ClockedReactor, Listener, Upstream, call, make
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import PrivateCertificate, optionsForClientTLS
from twisted.python.failure import Failure
from zope.interface import implementer

from faasd_async.errors import InvocationBroken, InvocationTimedOut, NotHandedOver
from faasd_async.runtime.collect import gather
from faasd_async.runtime.tls import HandshakenEndpoint


@pytest_twisted.ensureDeferred
async def test_nobody_listens(reactor: Any) -> None:
    """A refused connection is a call that was not handed over."""
    port = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
    number = port.getHost().port
    await port.stopListening()
    upstream = make(reactor, f"http://127.0.0.1:{number}")
    with pytest.raises(
        NotHandedOver, match=rf"figlet was not reached at 127.0.0.1:{number}: .*ref"
    ):
        await upstream.invoke(call(), NEVER)


@pytest.mark.parametrize(
    ("timeout_seconds", "why"),
    [(NEVER, "no connection within 3 s"), (2.0, "given up before there was a connection")],
)
@pytest_twisted.ensureDeferred
async def test_connection_takes_too_long(
    clocked: ClockedReactor, timeout_seconds: float, why: str
) -> None:
    """Whichever limit passes before there is a connection, the call was not handed over."""

    @implementer(IStreamClientEndpoint)
    class Nowhere:
        def connect(self, factory: Factory) -> Deferred[Protocol]:
            return Deferred()

    upstream = make(clocked, "http://192.0.2.1", connect_timeout_seconds=3.0, endpoint=Nowhere())
    invoked = upstream.invoke(call(), timeout_seconds)
    clocked.clock.advance(min(3.0, timeout_seconds))
    with pytest.raises(NotHandedOver, match=f"figlet was not reached at 192.0.2.1: {why}"):
        await invoked
    assert not clocked.clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_unknown_host(reactor: Any) -> None:
    """A name that cannot be resolved is a call that was not handed over."""
    upstream = make(reactor, "http://function.invalid")
    with pytest.raises(NotHandedOver):
        await upstream.invoke(call(), NEVER)


@pytest_twisted.ensureDeferred
async def test_hang_up_before_the_answer(upstream: Upstream, listener: Listener) -> None:
    """A function that hangs up may have done its work: the call is broken, not repeated."""
    invoked = upstream.invoke(call(), NEVER)
    (await listener.when_request()).peer.transport.loseConnection()
    with pytest.raises(InvocationBroken, match="figlet broke off before it answered: Conn"):
        await invoked
    assert len(listener.peers) == 1


@pytest.mark.parametrize(
    "part",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
    ],
)
@pytest_twisted.ensureDeferred
async def test_hang_up_within_the_body(upstream: Upstream, listener: Listener, part: bytes) -> None:
    """A body that is not whole is broken, after what there was of it."""
    invoked = upstream.invoke(call(), NEVER)
    request = await listener.when_request()
    request.answer(part)
    reply = await invoked
    pieces: list[bytes] = []
    request.peer.transport.loseConnection()
    with pytest.raises(InvocationBroken, match="figlet broke off its answer"):
        await reply.deliver_to(pieces.append)
    assert b"".join(pieces) == b"part"


@pytest_twisted.ensureDeferred
async def test_answer_that_is_none(upstream: Upstream, listener: Listener) -> None:
    """Bytes that are not HTTP are a broken answer."""
    invoked = upstream.invoke(call(), NEVER)
    (await listener.when_request()).answer(b"SSH-2.0-OpenSSH\r\n")
    with pytest.raises(InvocationBroken, match="figlet broke off before it answered"):
        await invoked


@pytest_twisted.ensureDeferred
async def test_slow_head(clocked: ClockedReactor, listener: Listener) -> None:
    """A function that does not answer in time is cut off."""
    upstream = make(clocked, f"http://127.0.0.1:{listener.port}")
    invoked = upstream.invoke(call(), 2.0)
    request = await listener.when_request()
    clocked.clock.advance(2.0)
    with pytest.raises(InvocationTimedOut, match="figlet did not answer within 2 s"):
        await invoked
    await request.peer.when_lost
    assert not clocked.clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_slow_body(clocked: ClockedReactor, listener: Listener) -> None:
    """The limit covers the body to its last byte."""
    upstream = make(clocked, f"http://127.0.0.1:{listener.port}")
    invoked = upstream.invoke(call(), 2.0)
    request = await listener.when_request()
    request.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
    reply = await invoked
    first: Deferred[bytes] = Deferred()
    delivered = reply.deliver_to(first.callback)
    assert await first == b"part"
    clocked.clock.advance(2.0)
    with pytest.raises(InvocationTimedOut):
        await delivered
    await request.peer.when_lost
    assert not clocked.clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_connections_are_kept_for_a_while(
    clocked: ClockedReactor, listener: Listener
) -> None:
    """A connection serves call after call, and is closed when none comes."""
    upstream = make(clocked, f"http://127.0.0.1:{listener.port}")
    for _ in range(3):
        invoked = upstream.invoke(call(), NEVER)
        request = await listener.when_request()
        request.answer(OK)
        await gather(await invoked, MIB)
    assert len(listener.peers) == 1
    clocked.clock.advance(1.0)
    await request.peer.when_lost


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest_twisted.ensureDeferred
async def test_kept_connection_that_was_closed(
    upstream: Upstream, listener: Listener, method: bytes
) -> None:
    """A kept connection that the function has closed is not used, whatever the method."""
    invoked = upstream.invoke(call(), NEVER)
    request = await listener.when_request()
    request.answer(OK)
    await gather(await invoked, MIB)
    # Closed behind the reactor's back: it learns of it no sooner than the call is made.
    request.peer.transport.getHandle().shutdown(1)

    invoked = upstream.invoke(call(method=method), NEVER)
    (await listener.when_request()).answer(OK)

    assert await gather(await invoked, MIB) == b"ok"
    assert len(listener.peers) == 2


@pytest_twisted.ensureDeferred
async def test_safe_request_is_repeated(upstream: Upstream, listener: Listener) -> None:
    """A GET that met its end on a kept connection is sent again on a fresh one, once."""
    invoked = upstream.invoke(call(), NEVER)
    (await listener.when_request()).answer(OK)
    await gather(await invoked, MIB)

    invoked = upstream.invoke(call(method=b"GET"), NEVER)
    (await listener.when_request()).peer.transport.loseConnection()
    (await listener.when_request()).peer.transport.loseConnection()

    with pytest.raises(InvocationBroken):
        await invoked
    assert len(listener.peers) == 2


@pytest_twisted.ensureDeferred
async def test_repetition_that_nobody_takes(reactor: Any, listener: Listener) -> None:
    """A GET that went out and cannot be sent again has been handed over, once."""
    port = reactor.listenTCP(0, listener, interface="127.0.0.1")
    upstream = make(reactor, f"http://127.0.0.1:{port.getHost().port}")
    invoked = upstream.invoke(call(), NEVER)
    (await listener.when_request()).answer(OK)
    await gather(await invoked, MIB)

    invoked = upstream.invoke(call(method=b"GET"), NEVER)
    request = await listener.when_request()
    await port.stopListening()
    request.peer.transport.loseConnection()

    with pytest.raises(InvocationBroken):
        await invoked
    await upstream.stop()


@pytest_twisted.ensureDeferred
async def test_unsafe_request_is_not_repeated(upstream: Upstream, listener: Listener) -> None:
    """A POST that met its end on a kept connection may have been read: it is broken."""
    invoked = upstream.invoke(call(), NEVER)
    (await listener.when_request()).answer(OK)
    await gather(await invoked, MIB)

    invoked = upstream.invoke(call(), NEVER)
    (await listener.when_request()).peer.transport.loseConnection()

    with pytest.raises(InvocationBroken):
        await invoked
    assert len(listener.peers) == 1


@pytest_twisted.ensureDeferred
async def test_connections_of_http_1_0_are_not_kept(upstream: Upstream, listener: Listener) -> None:
    """An HTTP/1.0 server closes after its answer, so nothing is sent after it."""
    for _ in range(2):
        invoked = upstream.invoke(call(), NEVER)
        request = await listener.when_request()
        request.answer(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert await gather(await invoked, MIB) == b"ok"
    assert len(listener.peers) == 2


@pytest_twisted.ensureDeferred
async def test_answer_before_the_request_was_read(reactor: Any) -> None:
    """A function that answers without reading on is hung up on, or its sender would wait on."""

    class Refusing(Protocol):
        def __init__(self) -> None:
            self.received = 0
            self.when_lost: Deferred[None] = Deferred()

        def connectionMade(self) -> None:
            self.transport.pauseProducing()
            self.transport.write(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")

        def dataReceived(self, data: bytes) -> None:
            self.received += len(data)

        def connectionLost(self, reason: Failure = connectionDone) -> None:
            self.when_lost.callback(None)

    refusing = Refusing()
    factory = Factory.forProtocol(lambda: refusing)
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    upstream = make(reactor, f"http://127.0.0.1:{port.getHost().port}")

    reply = await upstream.invoke(call(b"x" * 64 * MIB), NEVER)
    assert (reply.status, await gather(reply, MIB)) == (413, b"no")

    refusing.transport.resumeProducing()
    await refusing.when_lost
    assert refusing.received < 64 * MIB
    await port.stopListening()
    await upstream.stop()


@pytest_twisted.ensureDeferred
async def test_aborting_closes_the_connection(upstream: Upstream, listener: Listener) -> None:
    """Who gives up within the body hangs up."""
    invoked = upstream.invoke(call(), NEVER)
    request = await listener.when_request()
    request.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
    reply = await invoked
    delivered = reply.deliver_to(lambda _: None)
    reply.abort()
    with pytest.raises(CancelledError):
        await delivered
    await request.peer.when_lost


@pytest.mark.parametrize("body", [b"", b"x" * 32 * MIB], ids=["sent", "sending"])
@pytest_twisted.ensureDeferred
async def test_cancelling_closes_the_connection(
    upstream: Upstream, listener: Listener, body: bytes
) -> None:
    """Who gives up before there is a head hangs up, also while the body is on its way."""
    invoked = upstream.invoke(call(body), NEVER)
    peer = await listener.connections.get()
    invoked.cancel()
    with pytest.raises(CancelledError):
        await invoked
    await peer.when_lost


@pytest_twisted.ensureDeferred
async def test_aborting_a_whole_reply_spares_its_connection(
    upstream: Upstream, listener: Listener
) -> None:
    """A reply that has come whole but was not taken owns its connection no more."""
    invoked = upstream.invoke(call(), NEVER)
    (await listener.when_request()).answer(OK)
    untaken = await invoked
    invoked = upstream.invoke(call(), NEVER)
    request = await listener.when_request()

    untaken.abort()

    request.answer(OK)
    assert await gather(await invoked, MIB) == b"ok"


@pytest_twisted.ensureDeferred
async def test_stop_cuts_what_is_under_way(upstream: Upstream, listener: Listener) -> None:
    """Stopping breaks calls before and within their answers; later ones are refused."""
    first = upstream.invoke(call(), NEVER)
    (await listener.when_request()).answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
    delivered = (await first).deliver_to(lambda _: None)
    second = upstream.invoke(call(), NEVER)
    await listener.when_request()

    await upstream.stop()

    for each in (delivered, second):
        with pytest.raises(InvocationBroken, match="figlet was cut off"):
            await each
    with pytest.raises(NotHandedOver, match="figlet is stopped"):
        await upstream.invoke(call(), NEVER)


@pytest_twisted.ensureDeferred
async def test_start_again(upstream: Upstream, listener: Listener) -> None:
    """What was stopped can be started again, and keeps its connections as before."""
    await upstream.stop()
    await upstream.start()
    for _ in range(2):
        invoked = upstream.invoke(call(), NEVER)
        (await listener.when_request()).answer(OK)
        assert await gather(await invoked, MIB) == b"ok"
    assert len(listener.peers) == 1


TWISTED_HANDS_OPENSSL_ITS_OWN = pytest.mark.filterwarnings(
    "ignore:Passing pyOpenSSL X509 objects is deprecated:DeprecationWarning",
    "ignore:Passing pyOpenSSL PKey objects is deprecated:DeprecationWarning",
)


@pytest.fixture
def certificate() -> PrivateCertificate:
    """For 127.0.0.1, and signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "function")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return PrivateCertificate.loadPEM(
        signed.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )


@TWISTED_HANDS_OPENSSL_ITS_OWN
@pytest_twisted.ensureDeferred
async def test_https_without_trust(
    reactor: Any, listener: Listener, certificate: PrivateCertificate
) -> None:
    """A function whose certificate nobody trusts is shown nothing: the call is not handed over."""
    port = reactor.listenSSL(0, listener, certificate.options(), interface="127.0.0.1")
    upstream = make(reactor, f"https://127.0.0.1:{port.getHost().port}")
    with pytest.raises(NotHandedOver, match="certificate verify failed"):
        await upstream.invoke(call(), NEVER)
    assert not listener.requests.pending
    await port.stopListening()


@TWISTED_HANDS_OPENSSL_ITS_OWN
@pytest_twisted.ensureDeferred
async def test_https_with_trust(
    reactor: Any, listener: Listener, certificate: PrivateCertificate
) -> None:
    """A call goes over TLS, big bodies and kept connections included."""
    port = reactor.listenSSL(0, listener, certificate.options(), interface="127.0.0.1")
    number = port.getHost().port
    options = optionsForClientTLS("127.0.0.1", trustRoot=certificate)
    endpoint = wrapClientTLS(options, HostnameEndpoint(reactor, "127.0.0.1", number))
    upstream = make(reactor, f"https://127.0.0.1:{number}", endpoint=HandshakenEndpoint(endpoint))
    body = os.urandom(MIB)
    for _ in range(2):
        invoked = upstream.invoke(call(body), NEVER)
        request = await listener.when_request()
        request.answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        assert request.body == body
        assert await gather(await invoked, MIB) == body
    assert len(listener.peers) == 1
    await upstream.stop()
    await port.stopListening()


@TWISTED_HANDS_OPENSSL_ITS_OWN
@pytest_twisted.ensureDeferred
async def test_https_repetition(
    reactor: Any, listener: Listener, certificate: PrivateCertificate
) -> None:
    """A GET that met its end on a kept connection is sent again over TLS too; where nobody takes
    it then, it has been handed over once."""
    port = reactor.listenSSL(0, listener, certificate.options(), interface="127.0.0.1")
    number = port.getHost().port
    options = optionsForClientTLS("127.0.0.1", trustRoot=certificate)
    endpoint = wrapClientTLS(options, HostnameEndpoint(reactor, "127.0.0.1", number))
    upstream = make(reactor, f"https://127.0.0.1:{number}", endpoint=HandshakenEndpoint(endpoint))
    invoked = upstream.invoke(call(), NEVER)
    (await listener.when_request()).answer(OK)
    await gather(await invoked, MIB)

    invoked = upstream.invoke(call(method=b"GET"), NEVER)
    (await listener.when_request()).peer.transport.loseConnection()
    (await listener.when_request()).answer(OK)
    assert await gather(await invoked, MIB) == b"ok"

    invoked = upstream.invoke(call(method=b"GET"), NEVER)
    request = await listener.when_request()
    await port.stopListening()
    request.peer.transport.loseConnection()
    with pytest.raises(InvocationBroken):
        await invoked
    await upstream.stop()


@pytest_twisted.ensureDeferred
async def test_handshake_that_never_ends(clocked: ClockedReactor, listener: Listener) -> None:
    """A peer that takes connections and does not speak TLS has been shown nothing."""
    upstream = make(clocked, f"https://127.0.0.1:{listener.port}", connect_timeout_seconds=3.0)
    invoked = upstream.invoke(call(), NEVER)
    peer = await listener.connections.get()
    await peer.when_data
    clocked.clock.advance(3.0)
    with pytest.raises(NotHandedOver, match="no connection within 3 s"):
        await invoked
    await peer.when_lost
