"""The connections to one host.

**When a request is sent a second time.** A connection that was kept may be closed by the peer while
a request is on its way, and whether that was read cannot be known then: a server that dies over a
request and one that has grown tired of waiting look the same. So

- connections are dropped before common servers do it (gunicorn: 2 s, uvicorn and Node.js: 5 s), and
  each is looked at before it is used again;
- if not a byte of the request has left, whatever the method, it goes to another connection;
- if it has, the connection had been kept, and it is lost without a byte of a reply, only a request
  that changes nothing (RFC 9110 §9.2.1) is sent again: once, and not on one that was idle. Neither
  ``PUT`` nor ``DELETE`` is, though the RFC would allow it: what a function makes of them is its own
  affair;
- any other request has broken off: it may have had its effects. If the second try does not even
  find a connection, it is the first one's end that is told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IProtocol, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from faasd_async.http.connection import Connection
from faasd_async.http.errors import ExchangeError, NotSent
from faasd_async.http.exchange import Exchange
from faasd_async.wheel import Alarm, Wheel

SAFE_METHODS = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE"))
MAX_WAITING = 10_000


class Pool:
    """The connections to one host, and the exchanges that wait for one.

    :param clock: tells how long a connection has been idle.
    :param wheel: on the same clock.
    :param endpoint: reaches the host.
    :param max_connections: further exchanges wait, in order.
    :param idle_seconds: how long a connection is kept that nobody uses.
    """

    def __init__(
        self,
        clock: IReactorTime,
        wheel: Wheel,
        endpoint: IStreamClientEndpoint,
        *,
        max_connections: int,
        connect_timeout_seconds: float,
        idle_seconds: float,
    ) -> None:
        self._seconds = clock.seconds
        self._wheel = wheel
        self._endpoint = endpoint
        self._max_connections = max_connections
        self._connect_timeout_seconds = connect_timeout_seconds
        self._idle_seconds = idle_seconds
        self._factory = _Connections(self)
        self._connecting = 0
        self._connections: set[Connection] = set()
        self._idle: dict[Connection, None] = {}  # the longest idle first
        self._waiting: deque[Exchange] = deque()
        self._sweep: Alarm | None = None
        self._keeping = True

    def __len__(self) -> int:
        """How many connections there are, those that are being made included."""
        return len(self._connections) + self._connecting

    def send(self, exchange: Exchange) -> None:
        """Find a connection for an exchange, or have it wait for one."""
        idle = self._idle
        while idle:
            # The one that was used last is the least likely to be closed.
            connection, _ = idle.popitem()
            if connection.hung_up():
                self.dropped(connection)
                connection.close()
            elif connection.carry(exchange):
                return
        self._send_afresh(exchange)

    def open(self) -> None:
        """Keep connections again, after :meth:`close`."""
        self._keeping = True

    def close(self) -> Deferred[None]:
        """Keep no connection any more; what is carried now is carried to its end.

        :return: fires when the idle ones are closed.
        """
        self._keeping = False
        return gatherResults([each.close() for each in self._take_idle()]).addCallback(_nothing)

    # What connections call, as their Keeper.

    def released(self, connection: Connection) -> None:
        if not self._keeping:
            self.dropped(connection)
            connection.close()
        elif self._waiting:
            exchange = self._waiting.popleft()
            if not connection.carry(exchange):
                self.send(exchange)
        else:
            connection.idle_since = self._seconds()
            self._idle[connection] = None
            if self._sweep is None:
                self._sweep = self._wheel.after(self._idle_seconds, self._drop_idle)

    def dropped(self, connection: Connection) -> None:
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        self._idle.pop(connection, None)
        self._room_for_one()

    def broke_off(self, exchange: Exchange, reason: ExchangeError, *, on_kept: bool) -> None:
        if (
            on_kept
            and exchange.method in SAFE_METHODS
            and isinstance(exchange.body, bytes)
            and exchange.repeated is None
        ):
            exchange.repeated = reason
            # What else was kept is as old.
            for each in self._take_idle():
                each.close()
            self._send_afresh(exchange)
        else:
            exchange.fail(reason)

    # What exchanges call while they wait, as their Carrier.

    def pause(self) -> None:
        """There is nothing to pause yet."""

    def resume(self) -> None:
        """There is nothing to pause yet."""

    def let_go(self, exchange: Exchange) -> None:
        self._waiting.remove(exchange)

    # The rest is our own.

    def _send_afresh(self, exchange: Exchange) -> None:
        if len(self) < self._max_connections:
            self._connect(exchange)
        elif len(self._waiting) < MAX_WAITING:
            exchange.carrier = self
            self._waiting.append(exchange)
        else:
            exchange.fail(NotSent(f"{MAX_WAITING} requests wait for a connection already"))

    def _connect(self, exchange: Exchange) -> None:
        self._connecting += 1
        connecting = _Connecting(exchange, self._connected, self._not_connected)
        exchange.carrier = connecting
        connecting.begin(self._endpoint, self._factory, self._wheel, self._connect_timeout_seconds)

    def _connected(self, connection: Connection, exchange: Exchange) -> None:
        self._connecting -= 1
        self._connections.add(connection)
        if not connection.carry(exchange):
            exchange.fail(exchange.repeated or NotSent("the connection was closed at once"))

    def _not_connected(self, exchange: Exchange, reason: NotSent) -> None:
        self._connecting -= 1
        exchange.fail(exchange.repeated or reason)
        self._room_for_one()

    def _room_for_one(self) -> None:
        if self._waiting and len(self) < self._max_connections:
            self._connect(self._waiting.popleft())

    def _take_idle(self) -> list[Connection]:
        taken = list(self._idle)
        self._idle.clear()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for each in taken:
            self.dropped(each)
        return taken

    def _drop_idle(self) -> None:
        self._sweep = None
        now = self._seconds()
        for connection in list(self._idle):
            left = connection.idle_since + self._idle_seconds - now
            if left > 0:
                self._sweep = self._wheel.after(left, self._drop_idle)
                return
            self.dropped(connection)
            connection.close()


class _Connections(Factory):
    noisy = False

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def buildProtocol(self, addr: object) -> Connection:
        return Connection(self._pool)


class _Connecting:
    """A connection that is being made for an exchange."""

    def __init__(
        self,
        exchange: Exchange,
        connected: Callable[[Connection, Exchange], object],
        failed: Callable[[Exchange, NotSent], object],
    ) -> None:
        self._exchange: Exchange | None = exchange
        self._connected = connected
        self._failed = failed

    def begin(
        self,
        endpoint: IStreamClientEndpoint,
        factory: Factory,
        wheel: Wheel,
        timeout_seconds: float,
    ) -> None:
        self._alarm = wheel.after(
            timeout_seconds, lambda: self._give_up(f"no connection within {timeout_seconds:g} s")
        )
        self._deferred = endpoint.connect(factory)
        self._deferred.addCallbacks(self._made, self._not_made)

    def pause(self) -> None:
        """There is nothing to pause yet."""

    def resume(self) -> None:
        """There is nothing to pause yet."""

    def let_go(self, exchange: Exchange) -> None:
        self._give_up("given up before there was a connection")

    def _give_up(self, why: str) -> None:
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        self._alarm.cancel()
        self._deferred.cancel()
        self._failed(exchange, NotSent(why))

    def _made(self, protocol: IProtocol) -> None:
        assert isinstance(protocol, Connection)
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            protocol.close()  # too late
            return
        self._alarm.cancel()
        if protocol.is_its_own_peer():
            protocol.close()
            self._failed(exchange, NotSent("nobody listens there"))
        else:
            self._connected(protocol, exchange)

    def _not_made(self, reason: Failure) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            self._alarm.cancel()
            words = str(reason.value).rstrip(".") or type(reason.value).__name__
            self._failed(exchange, NotSent(words))


def _nothing(_: object) -> None:
    return None
