"""A connection, which carries one exchange after the other.

A request is written straight to the socket and only what that does not take is left to the
transport: this spares the reactor a turn and two calls of the kernel, and it tells the one thing
that makes a repetition safe beyond doubt, that not a byte has left. In between exchanges the
transport has nothing to send, so nothing can overtake it.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Protocol, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.internet.tcp import Connection as TcpConnection
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.http.errors import BadReply, BrokenOff, ExchangeError
from faasd_async.http.exchange import Exchange
from faasd_async.http.reader import ReplyReader
from faasd_async.http.upload import PIECE_BYTES, WholeBody


class Keeper(Protocol):
    """Who keeps connections."""

    def released(self, connection: Connection) -> None:
        """It can carry another exchange."""

    def dropped(self, connection: Connection) -> None:
        """It cannot, ever again. This may be told more than once."""

    def broke_off(self, exchange: Exchange, reason: ExchangeError, *, on_kept: bool) -> None:
        """It was lost before the reply was whole.

        :param on_kept: it had carried another exchange before, and nothing of this one's reply
            had come.
        """


class Connection(TwistedProtocol):
    """One connection.

    :ivar idle_since: when it was last released, on the keeper's clock.
    """

    _log = Logger()

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._reader = ReplyReader()
        self._exchange: Exchange | None = None
        self._socket: socket.socket | None = None
        self._poll: Callable[[int], object] | None = None
        self._paused = False
        self._uploaded = True
        self._used = False
        self._when_lost: Deferred[None] | None = None
        self._lost = False
        self.idle_since = 0.0

    # What the keeper calls.

    def carry(self, exchange: Exchange) -> bool:
        """Send a request, and pass on what comes.

        :return: false if the peer had hung up before a byte of it left.
        """
        body = exchange.body
        whole = exchange.head
        if isinstance(body, bytes):
            whole += body if len(body) <= PIECE_BYTES else body[:PIECE_BYTES]
        sent = self._send(whole)
        if sent is None:
            self._abort()
            return False
        self._exchange = exchange
        self._reader.expect(head_only=exchange.method == b"HEAD")
        exchange.carrier = self
        exchange.sent = True
        if sent < len(whole):
            self._transport.write(whole[sent:])
        if not isinstance(body, bytes):
            self._uploaded = False
            body.begin(self._transport, self._upload_done)
        elif len(body) > PIECE_BYTES or sent < len(whole):
            self._uploaded = False
            rest = WholeBody(body, PIECE_BYTES, pending=sent < len(whole))
            rest.begin(self._transport, self._upload_done)
        return True

    def hung_up(self) -> bool:
        """Whether the peer has closed it, and the reactor does not know yet."""
        if self._lost:
            return True
        # What there is to be read is an end, or an answer to nothing.
        return self._poll is not None and bool(self._poll(0))

    def is_its_own_peer(self) -> bool:
        """Whether the port nobody listens on was the very one that the kernel picked for our end of
        the connection, which then is connected with itself."""
        ours = self._transport.getHost()
        return isinstance(ours, (IPv4Address, IPv6Address)) and ours == self._transport.getPeer()

    def close(self) -> Deferred[None]:
        """:return: fires when it is closed."""
        when_lost: Deferred[None] = Deferred()
        if self._lost:
            when_lost.callback(None)
        else:
            self._when_lost = when_lost
            self._transport.loseConnection()
        return when_lost

    # What its exchange calls.

    def pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pauseProducing()  # type: ignore[attr-defined] # IPushProducer too

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resumeProducing()  # type: ignore[attr-defined] # IPushProducer too

    def let_go(self, exchange: Exchange) -> None:
        self._exchange = None
        self._abort()

    # What Twisted calls.

    def connectionMade(self) -> None:
        self._transport = cast(ITCPTransport, self.transport)
        # Nothing else may stand between: neither TLS nor a wrapper of somebody's.
        if isinstance(self.transport, TcpConnection) and not self.transport.TLS:
            self._socket = self.transport.getHandle()
            looking = select.poll()
            looking.register(self._socket, select.POLLIN)
            self._poll = looking.poll
        if ITCPTransport.providedBy(self.transport):
            # The last piece of a big body is not to wait until the one before is acknowledged.
            self._transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            self._abort()  # an answer to nothing
            return
        reader = self._reader
        fault = None
        try:
            reader.feed(data)
        except BadReply as reason:
            fault = reason
        status = reader.status
        if status:
            # Copied now: as soon as the connection is released, the reader reads another reply.
            self._go_on(exchange, status, reader.fields, reader.take_pieces(), fault)
        elif fault is not None:
            self._fail(exchange, fault)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost = True
        self._socket = self._poll = None
        self._keeper.dropped(self)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            self._break_off(exchange, reason)
        if self._when_lost is not None:
            self._when_lost.callback(None)

    # The rest is our own.

    def _send(self, data: bytes) -> int | None:
        """:return: how much the transport has to send no more; ``None`` if the peer has hung up and
        nothing has left."""
        if self._socket is None:
            if self._lost:
                return None
            self._transport.write(data)
            return len(data)
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            return None

    def _upload_done(self) -> None:
        self._uploaded = True

    def _go_on(
        self,
        exchange: Exchange,
        status: int,
        fields: list[tuple[bytes, bytes]],
        pieces: list[bytes],
        fault: BadReply | None,
    ) -> None:
        complete = self._reader.complete
        if complete:
            exchange.carrier = None
            self._exchange = None
            self._after_reply()
        try:
            exchange.go_on(status, fields, pieces, complete)
            if fault is not None:
                self._fail(exchange, fault)
        except Exception:
            self._log.failure("what was told of a reply has failed")
            exchange.abort()

    def _after_reply(self) -> None:
        if not self._uploaded:
            # Answered without reading on; nobody is to wait until it does.
            self._abort()
        elif self._reader.keep_alive:
            self._used = True
            self.resume()
            self._keeper.released(self)
        else:
            self._keeper.dropped(self)
            self._transport.loseConnection()

    def _fail(self, exchange: Exchange, reason: ExchangeError) -> None:
        self._exchange = None
        self._abort()
        exchange.fail(reason)

    def _break_off(self, exchange: Exchange, reason: Failure) -> None:
        exchange.carrier = None
        reader = self._reader
        if reason.check(ConnectionDone):
            try:
                reader.end()
            except BrokenOff:
                pass
            else:
                exchange.go_on(reader.status, reader.fields, [], True)
                return
        self._keeper.broke_off(
            exchange,
            BrokenOff(str(reason.value).rstrip(".")),
            on_kept=self._used and not reader.begun,
        )

    def _abort(self) -> None:
        self._keeper.dropped(self)
        if not self._lost:
            self._transport.abortConnection()
