"""The handshake, wrapped into an endpoint.

Whoever connects through :class:`HandshakeEndpoint` gets a protocol that is ready to publish: the
exchange INFO → CONNECT, PING → PONG has happened before the Deferred fires. Doing it here, and not
after the connection was handed over, leaves no moment in which a half-open connection could be
mistaken for a good one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory, IReactorTime, IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from faasd_async import __version__
from faasd_async.nats.errors import (
    AuthorizationFailed,
    BadCredentials,
    HandshakeFailed,
    NatsError,
    TlsMissing,
)
from faasd_async.nats.futures import new_future, reject, resolve
from faasd_async.nats.nkey import Credentials
from faasd_async.nats.protocol import NatsProtocol
from faasd_async.nats.tls import Tls
from faasd_async.nats.wire import ServerInfo, commands


@dataclass(frozen=True, slots=True)
class Login:
    """Who we say we are.

    :ivar credentials: read anew for each connection, for they may have been renewed.
    :ivar echo: whether our own messages come back to our own subscriptions.
    """

    name: str
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    credentials: Callable[[], Credentials] | None = None
    echo: bool = True

    def options(self, nonce: str = "") -> dict[str, str | bool | int]:
        """Return what CONNECT carries.

        :param nonce: what the server drew for us to sign.
        :raises BadCredentials: there are none to sign it with, now.
        """
        options: dict[str, str | bool | int] = {
            "verbose": False,
            "pedantic": False,
            "headers": True,
            "no_responders": True,
            "echo": self.echo,
            "name": self.name,
            "lang": "python-twisted",
            "version": __version__,
            "protocol": 1,  # we understand INFO at any time, so a lame duck may say so
        }
        if self.user:
            options |= {"user": self.user, "pass": self.password}
        if self.token:
            options["auth_token"] = self.token
        if self.credentials is not None:
            options |= self.credentials().options(nonce)
        return options


@implementer(IStreamClientEndpoint)
class HandshakeEndpoint:
    """Connects and logs in.

    :param endpoint: makes the transport.
    :param host: who the server has to prove to be, where it speaks TLS.
    :param timeout_seconds: for transport and handshake together.
    """

    def __init__(
        self,
        clock: IReactorTime,
        endpoint: IStreamClientEndpoint,
        login: Login,
        timeout_seconds: float,
        *,
        host: str,
        tls: Tls,
    ) -> None:
        self._clock = clock
        self._endpoint = endpoint
        self._login = login
        self._timeout_seconds = timeout_seconds
        self._host = host
        self._tls = tls

    def connect(  # type: ignore[override]  # narrower than the interface; Deferred is invariant
        self, protocol_factory: IProtocolFactory
    ) -> "Deferred[NatsProtocol]":
        """Connect; the factory makes a :class:`NatsProtocol`.

        Fails with :class:`HandshakeFailed`, or with what the wrapped endpoint fails with.
        """
        connecting = Deferred.fromCoroutine(self._connect(protocol_factory))
        return connecting.addTimeout(self._timeout_seconds, self._clock, self._timed_out)

    async def _connect(self, factory: IProtocolFactory) -> NatsProtocol:
        protocol = await self._endpoint.connect(factory)
        assert isinstance(protocol, NatsProtocol)
        try:
            info = await _when_info(protocol)
            self._secure(protocol, info)
            protocol.send(commands.connect(self._login.options(info.nonce)))
            await _when_pong(protocol)
        except Exception as error:
            failure = _why(protocol, error)
            protocol.drop(failure)
            raise failure from error
        return protocol

    def _secure(self, protocol: NatsProtocol, info: ServerInfo) -> None:
        """Go on in TLS, if the server or the operator wants it: the rest is not for everybody."""
        if info.tls_required or self._tls.required:
            if not (info.tls_required or info.tls_available):
                raise TlsMissing("the NATS server speaks no TLS, and we are to speak nothing else")
            protocol.secure(self._tls.options(self._host))

    def _timed_out(self, result: object, seconds: float) -> Failure:
        return Failure(HandshakeFailed(f"no NATS handshake within {seconds} s"))


def _when_info(protocol: NatsProtocol) -> "Deferred[ServerInfo]":
    future: Deferred[ServerInfo] = new_future()

    def arrived(info: ServerInfo) -> None:
        protocol.on_info = ignore
        resolve(future, info)

    def lost(error: NatsError) -> None:
        if not future.called:
            reject(future, error)

    ignore, protocol.on_info = protocol.on_info, arrived
    protocol.when_lost().addCallback(lost)
    return future


def _when_pong(protocol: NatsProtocol) -> "Deferred[None]":
    future: Deferred[None] = new_future()
    protocol.ping(partial(_settle, future))
    return future


def _settle(future: "Deferred[None]", error: NatsError | None) -> None:
    if future.called:
        return
    if error is None:
        resolve(future, None)
    else:
        reject(future, error)


def _why(protocol: NatsProtocol, error: Exception) -> NatsError:
    """Prefer the server's own words to the mere end of the connection."""
    if isinstance(error, (HandshakeFailed, BadCredentials)):
        return error
    if protocol.complaint is None:
        return HandshakeFailed(f"the NATS handshake broke off: {error}")
    words = str(protocol.complaint)
    if "authoriz" in words.lower() or "authentic" in words.lower():
        return AuthorizationFailed(f"the NATS server refuses our credentials: {words}")
    return HandshakeFailed(f"the NATS server refuses us: {words}")
