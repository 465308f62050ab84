"""The NATS client: publish, subscribe, request, and stay connected.

Two kinds of failure are kept apart. What *raises* (or fails a Deferred) with a
:class:`~faasd_async.nats.errors.NotSent` never left this process. What arrives *through a reply*
(:class:`~faasd_async.nats.errors.ConnectionDropped`,
:class:`~faasd_async.nats.errors.RequestTimedOut`) may have been received. Nothing is kept for a
later connection: whoever publishes while there is none is told at once.

The methods that end in ``_then`` take a callable instead of returning a Deferred; they are the
ones for thousands of calls a second.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from faasd_async.nats.address import ServerAddress, ServerSource
from faasd_async.nats.endpoint import HandshakeEndpoint, Login
from faasd_async.nats.errors import NatsError, NotConnected
from faasd_async.nats.futures import new_future, reject, resolve
from faasd_async.nats.limits import Limits
from faasd_async.nats.nkey import Credentials
from faasd_async.nats.observers import Observers
from faasd_async.nats.protocol import NatsProtocol
from faasd_async.nats.reconnection import Reconnection
from faasd_async.nats.requests import OnReply, Requests
from faasd_async.nats.statistics import Statistics
from faasd_async.nats.subscriptions import Subscription, Subscriptions
from faasd_async.nats.tls import Tls
from faasd_async.nats.wire import HeaderPairs, Message, ServerInfo, encode_headers

HeadersLike: TypeAlias = bytes | HeaderPairs
"""A header block written by :func:`encode_headers` already, or the pairs to write."""


class NatsClient:
    """One client of a NATS server or cluster, reconnecting until stopped.

    :param reactor: connects and tells the time.
    :param servers: where to connect to, in turn; a callable is asked before every attempt.
    :param name: what the server calls us in its monitoring.
    :param user: with ``password`` or, instead, ``token``: for servers whose address has no own.
    :param credentials: asked for at each connection, where they are a key's.
    :param tls: for servers that speak it.
    :param echo: whether our own messages come back to our own subscriptions.
    :param dial: makes the transport to a server; TCP unless given.
    :ivar clock: the reactor, for those who build upon the client.
    :ivar statistics: totals to read.
    :ivar last_error: why the latest attempt failed or the latest connection ended.
    """

    def __init__(
        self,
        reactor: Any,
        servers: ServerSource,
        *,
        name: str = "faasd-async",
        user: str = "",
        password: str = "",
        token: str = "",
        credentials: Callable[[], Credentials] | None = None,
        tls: Tls | None = None,
        echo: bool = True,
        limits: Limits | None = None,
        dial: Callable[[ServerAddress], IStreamClientEndpoint] | None = None,
    ) -> None:
        self._log = Logger()
        self._reactor = reactor
        self._login = Login(
            name=name,
            user=user,
            password=password,
            token=token,
            credentials=credentials,
            echo=echo,
        )
        self._tls = tls or Tls()
        self._limits = limits or Limits()
        self._dial = dial or self._dial_tcp
        self._subscriptions = Subscriptions()
        self._requests = Requests(reactor)
        self._subscriptions.add(self._requests.wildcard, self._requests.received, b"", 0)
        self._connection: NatsProtocol | None = None
        self._when_connected: list[Deferred[None]] = []
        self._on_connected = Observers("connection to NATS")
        self._on_disconnected = Observers("disconnection from NATS")
        self._started = self._stopped = False
        self._reconnection = Reconnection(
            reactor,
            servers,
            self._connect,
            on_up=self._up,
            on_down=self._down,
            on_failure=self._failed,
            limits=self._limits,
        )
        self.clock: IReactorTime = reactor
        self.statistics = Statistics()
        self.last_error: Exception | None = None

    # -- life

    def start(self) -> None:
        """Begin to connect, and go on until :meth:`stop`."""
        if self._started:
            raise RuntimeError("a NatsClient starts once")
        self._started = True
        self._reconnection.start()

    def stop(self) -> "Deferred[None]":
        """Let what was published leave, hang up, and stay away.

        Requests still open then fail with :class:`ConnectionDropped`.
        """
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._stopped = True
        finished = self._reconnection.stop()
        self._fail_waiting(NotConnected("the NATS client was stopped"))
        connection = self._connection
        if connection is not None:
            try:
                await self.flush().addTimeout(self._limits.flush_seconds, self._reactor)
            except Exception as error:
                self._log.warn(
                    "hanging up on a NATS server that confirms no flush: {error}", error=error
                )
                connection.drop(NotConnected("the NATS client was stopped"))
            else:
                connection.close()
        await finished

    def reconnect_now(self) -> None:
        """Do not wait out a back-off: something changed, a server is known to be up."""
        self._reconnection.hurry()

    @property
    def connected(self) -> bool:
        """Whether a publish would be sent now."""
        return self._connection is not None

    def when_connected(self) -> "Deferred[None]":
        """Fire with the next connection, or at once if there is one.

        Fails with :class:`NotConnected` when the client is stopped first.
        """
        future: Deferred[None] = new_future(self._forget_waiting)
        if self._stopped:
            reject(future, NotConnected("the NATS client was stopped"))
        elif self._connection is not None:
            resolve(future, None)
        else:
            self._when_connected.append(future)
        return future

    def on_connected(self, observer: Callable[[], None]) -> Callable[[], None]:
        """Call ``observer`` with every connection; calling the result ends that."""
        return self._on_connected.add(observer)

    def on_disconnected(self, observer: Callable[[], None]) -> Callable[[], None]:
        """Call ``observer`` after every end of a connection; calling the result ends that.

        By then every open request has failed.
        """
        return self._on_disconnected.add(observer)

    @property
    def server_info(self) -> ServerInfo | None:
        """What the connected server says about itself."""
        return self._connection.server_info if self._connection is not None else None

    @property
    def max_payload_bytes(self) -> int:
        """The largest message, headers included, that the connected server takes; else 0."""
        return self._connection.max_payload_bytes if self._connection is not None else 0

    @property
    def pending_bytes(self) -> int:
        """What was published and not yet taken by the socket."""
        return self._connection.pending_bytes if self._connection is not None else 0

    # -- messages

    def publish(
        self,
        subject: bytes,
        payload: bytes,
        *,
        reply: bytes = b"",
        headers: HeadersLike | None = None,
    ) -> None:
        """Send a message at the end of this reactor turn.

        :raises NotSent: there is no connection, too much is waiting, or it is too large.
        :raises BadSubject: ``subject`` or ``reply`` cannot be written.
        :raises BadHeader: ``headers`` cannot be written.
        """
        connection = self._connection
        if connection is None:
            raise NotConnected("there is no connection to a NATS server")
        connection.publish(subject, payload, reply, _header_block(headers))

    def subscribe(
        self,
        subject: bytes,
        callback: Callable[[Message], None],
        *,
        queue: bytes = b"",
        max_messages: int = 0,
    ) -> Subscription:
        """Call ``callback`` with each message to ``subject``, on this connection and all later.

        :param queue: share the messages among the members of this group.
        :param max_messages: end the subscription after so many.
        :raises BadSubject: ``subject`` or ``queue`` cannot be written.
        """
        return self._subscriptions.add(subject, callback, queue, max_messages)

    def request(
        self,
        subject: bytes,
        payload: bytes,
        *,
        headers: HeadersLike | None = None,
        timeout_seconds: float = 5.0,
    ) -> "Deferred[Message]":
        """Send a message and fire with the first answer.

        Fails with what :meth:`publish` raises, or with :class:`NoResponders`,
        :class:`RequestTimedOut` or :class:`ConnectionDropped`.
        """
        ticket = b""

        def cancelled(future: "Deferred[Message]") -> None:
            self._requests.forget(ticket)

        def replied(reply: Message | NatsError) -> None:
            if isinstance(reply, NatsError):
                reject(future, reply)
            else:
                resolve(future, reply)

        future: Deferred[Message] = new_future(cancelled)
        try:
            ticket = self.request_then(
                subject, payload, replied, headers=headers, timeout_seconds=timeout_seconds
            )
        except NatsError as error:
            reject(future, error)
        return future

    def request_then(
        self,
        subject: bytes,
        payload: bytes,
        on_reply: OnReply,
        *,
        headers: HeadersLike | None = None,
        timeout_seconds: float = 5.0,
    ) -> bytes:
        """Send a message and call ``on_reply``, once, with the first answer or an error.

        What :meth:`publish` raises is raised, and ``on_reply`` is not called then. Times are
        kept to a tenth of a second.

        :return: the ticket that :meth:`forget` takes.
        """
        connection = self._connection
        if connection is None:
            raise NotConnected("there is no connection to a NATS server")
        header_block = _header_block(headers)
        reply = self._requests.open(subject, on_reply, timeout_seconds)
        try:
            connection.publish(subject, payload, reply, header_block)
        except NatsError:
            self._requests.forget(reply)
            raise
        return reply

    def forget(self, ticket: bytes) -> None:
        """Do not call the ``on_reply`` of this request any more."""
        self._requests.forget(ticket)

    def flush(self) -> "Deferred[None]":
        """Fire when the server has worked through all that was published before.

        Fails with :class:`NotConnected` or :class:`ConnectionDropped`.
        """
        future: Deferred[None] = new_future()

        def confirmed(error: NatsError | None) -> None:
            if error is None:
                resolve(future, None)
            else:
                reject(future, error)

        if self._connection is None:
            confirmed(NotConnected("there is no connection to a NATS server"))
        else:
            self._connection.ping(confirmed)
        return future

    # -- connections coming and going

    def _connect(self, address: ServerAddress) -> "Deferred[NatsProtocol]":
        login = self._login
        if address.user or address.token:
            login = replace(
                login,
                user=address.user,
                password=address.password,
                token=address.token,
                credentials=None,
            )
        endpoint = HandshakeEndpoint(
            self._reactor,
            self._dial(address),
            login,
            self._limits.handshake_seconds,
            host=address.host,
            tls=replace(self._tls, required=True) if address.tls else self._tls,
        )
        self._log.debug("connecting to NATS at {address}", address=address)
        return endpoint.connect(Factory.forProtocol(self._build_protocol))

    def _build_protocol(self) -> NatsProtocol:
        return NatsProtocol(
            self._reactor, self._subscriptions.dispatch, self._limits, self.statistics
        )

    def _dial_tcp(self, address: ServerAddress) -> IStreamClientEndpoint:
        endpoint: IStreamClientEndpoint = HostnameEndpoint(
            self._reactor, address.host, address.port, timeout=self._limits.handshake_seconds
        )
        return endpoint

    def _up(self, connection: NatsProtocol) -> None:
        self.statistics.connects += 1
        self.last_error = None
        self._connection = connection
        connection.on_info = self._informed
        connection.start_probing()
        self._subscriptions.connected(connection)
        self._log.info(
            "connected to NATS {version} ({server})",
            version=connection.server_info.version if connection.server_info else "",
            server=connection.server_info.server_name if connection.server_info else "",
        )
        waiting, self._when_connected = self._when_connected, []
        for future in waiting:
            resolve(future, None)
        self._on_connected.tell()

    def _down(self, reason: NatsError) -> None:
        self.last_error = reason
        self._connection = None
        self._subscriptions.disconnected()
        if not self._stopped:
            self._log.warn("the connection to NATS ended: {reason}", reason=reason)
        self._requests.fail_all(reason)
        self._on_disconnected.tell()

    def _failed(self, error: Exception) -> None:
        if self.last_error is None or str(error) != str(self.last_error):
            self._log.warn("cannot connect to NATS: {error}; trying again", error=error)
        self.last_error = error

    def _informed(self, info: ServerInfo) -> None:
        connection = self._connection
        if info.lame_duck and connection is not None and self._reconnection.server_count() > 1:
            self._log.info("the NATS server is about to shut down; moving to another")
            connection.on_info = lambda info: None
            connection.ping(lambda error: connection.close() if error is None else None)

    def _fail_waiting(self, error: NatsError) -> None:
        waiting, self._when_connected = self._when_connected, []
        for future in waiting:
            reject(future, error)

    def _forget_waiting(self, future: "Deferred[None]") -> None:
        self._when_connected.remove(future)


def _header_block(headers: HeadersLike | None) -> bytes:
    if not headers:
        return b""
    return headers if isinstance(headers, bytes) else encode_headers(headers)
