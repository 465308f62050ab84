"""One connection: moves bytes, answers PING, bounds what waits.

Everything written within one turn of the reactor leaves in one ``transport.write``: commands are
gathered and the first of them schedules the write. While the socket does not take what was
written, nothing more is handed to the transport, so ``pending_bytes`` counts all that waits, here
and there, and has a bound.

The handshake is not in here: :mod:`.endpoint` does it with the methods of this class.
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from faasd_async.direct import is_plain, write_at_once
from faasd_async.nats.errors import (
    ConnectionDropped,
    MaxPayloadExceeded,
    NatsError,
    PendingBytesExceeded,
    ProtocolError,
    ServerComplained,
    StaleConnection,
)
from faasd_async.nats.futures import new_future, resolve
from faasd_async.nats.limits import Limits
from faasd_async.nats.statistics import Statistics
from faasd_async.nats.wire import Event, Message, Parser, ServerErr, ServerInfo, Signal, commands

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

CONTROL_MARGIN_BYTES = 1024 * 1024
"""Commands that cannot be refused (SUB, PONG, …) may wait this far beyond the bound."""
PAYLOAD_MARGIN_BYTES = 64 * 1024
"""What a server may add to a message that was published at its limit: headers of its own."""


@implementer(IPushProducer)
class NatsProtocol(Protocol):
    """A connection to one server.

    :param on_message: called with each message; its exceptions must be its own affair.
    :ivar server_info: the server's latest INFO, or ``None`` before the first.
    :ivar pending_bytes: what was written and not yet taken by the socket.
    :ivar on_info: called with each further INFO.
    """

    transport: Any  # what carries us has no one interface: TCP, TLS and the tests' own differ

    def __init__(
        self,
        clock: IReactorTime,
        on_message: Callable[[Message], None],
        limits: Limits,
        statistics: Statistics,
    ) -> None:
        self._log = Logger()
        self._clock = clock
        self._on_message = on_message
        self._limits = limits
        self._statistics = statistics
        self._parser = Parser()
        self._frames: list[bytes] = []
        self._write_call: IDelayedCall | None = None
        self._paused = False
        self._is_plain = False
        self._closing = False
        self._on_pongs: deque[Callable[[NatsError | None], None]] = deque()
        self._probes_outstanding = 0
        self._probe_call: IDelayedCall | None = None
        self._complaint: ServerComplained | None = None
        self._reason: NatsError | None = None
        self._lost: NatsError | None = None
        self._when_lost: list[Deferred[NatsError]] = []
        self.server_info: ServerInfo | None = None
        self.max_payload_bytes = 0
        self.pending_bytes = 0
        self.on_info: Callable[[ServerInfo], None] = lambda info: None

    # -- outgoing

    def publish(self, subject: bytes, payload: bytes, reply: bytes, header_block: bytes) -> None:
        """Send one message at the end of this reactor turn.

        :raises BadSubject: the subject cannot be written.
        :raises MaxPayloadExceeded: the server would not take it.
        :raises PendingBytesExceeded: the server takes too little already.
        """
        size = len(header_block) + len(payload)
        if size > self.max_payload_bytes:
            raise MaxPayloadExceeded(size, self.max_payload_bytes)
        frame = commands.publish(subject, payload, reply, header_block)
        pending = self.pending_bytes + len(frame)
        if pending > self._limits.pending_bytes:
            raise PendingBytesExceeded(pending, self._limits.pending_bytes)
        self.pending_bytes = pending
        self._frames.append(frame)
        if self._write_call is None and not self._paused:
            self._write_call = self._clock.callLater(0, self._write_in_time)
        self._statistics.out_messages += 1

    def send(self, frame: bytes) -> None:
        """Send a command that is not to be refused."""
        if self._lost is not None:
            return
        self.pending_bytes += len(frame)
        self._frames.append(frame)
        limit = self._limits.pending_bytes + CONTROL_MARGIN_BYTES
        if self.pending_bytes > limit:
            self.drop(ConnectionDropped(str(PendingBytesExceeded(self.pending_bytes, limit))))
        elif self._write_call is None and not self._paused:
            self._write_call = self._clock.callLater(0, self._write_in_time)

    def secure(self, options: Any) -> None:
        """Go on in TLS; nothing that is to be secret may have been sent before.

        :param options: as ``startTLS`` takes them.
        """
        self._is_plain = False
        self.transport.startTLS(options)

    def ping(self, on_pong: Callable[[NatsError | None], None]) -> None:
        """Send PING; hear of the PONG, or of the connection's end.

        The server answers in order, so its PONG says that it has worked through all before it.
        """
        if self._lost is not None:
            on_pong(self._lost)
            return
        self._on_pongs.append(on_pong)
        self.send(commands.PING)

    def close(self) -> None:
        """Let what waits leave, then hang up."""
        if self._closing or self._lost is not None:
            return
        self._closing = True
        self._paused = False  # the transport keeps the rest, full or not, and hangs up after it
        self._write_now()
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def drop(self, reason: NatsError) -> None:
        """Hang up at once; what waits is lost."""
        if self._reason is None:
            self._reason = reason
        self.transport.abortConnection()

    def when_lost(self) -> "Deferred[NatsError]":
        """Fire with the reason when the connection has ended."""
        future: Deferred[NatsError] = new_future(self._when_lost.remove)
        if self._lost is not None:
            resolve(future, self._lost)
        else:
            self._when_lost.append(future)
        return future

    def start_probing(self) -> None:
        """Send a PING now and then, and give up a connection that leaves them unanswered."""
        self._probe_call = self._clock.callLater(self._limits.ping_interval_seconds, self._probe)

    def _probe(self) -> None:
        if self._probes_outstanding >= self._limits.pings_outstanding:
            self._probe_call = None
            self.drop(
                StaleConnection(f"{self._probes_outstanding} PINGs in a row were not answered")
            )
            return
        self._probes_outstanding += 1
        self.ping(self._probed)
        self.start_probing()

    def _probed(self, error: NatsError | None) -> None:
        self._probes_outstanding = 0

    def _write_in_time(self) -> None:
        self._write_call = None
        self._write_now()

    def _write_now(self) -> None:
        if self._write_call is not None:
            self._write_call.cancel()
            self._write_call = None
        frames = self._frames
        if self._paused or not frames:
            return
        self._frames = []
        data = b"".join(frames)
        self._statistics.out_bytes += len(data)
        if self._is_plain:
            write_at_once(self.transport, data)
        else:
            self.transport.write(data)
        if not self._paused:
            self.pending_bytes = 0

    # -- incoming

    def connectionMade(self) -> None:
        """Take over the transport."""
        self._is_plain = is_plain(self.transport)
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        """Hand on what the server said; what is no NATS ends the connection."""
        self._statistics.in_bytes += len(data)
        messages = 0
        try:
            for event in self._parser.receive(data):
                if type(event) is Message:
                    messages += 1
                    self._on_message(event)
                else:
                    self._control(event)
        except ProtocolError as error:
            self._log.error("the NATS server broke the protocol: {error}", error=error)
            self.drop(error)
        self._statistics.in_messages += messages

    def _control(self, event: Event) -> None:
        if event is Signal.PING:
            self.send(commands.PONG)
        elif event is Signal.PONG:
            if self._on_pongs:
                self._on_pongs.popleft()(None)
        elif isinstance(event, ServerInfo):
            self.server_info = event
            self.max_payload_bytes = event.max_payload_bytes
            self._parser.payload_limit_bytes = event.max_payload_bytes + PAYLOAD_MARGIN_BYTES
            self.on_info(event)
        elif isinstance(event, ServerErr):
            # The server itself hangs up after a grave one; a lesser one harms nothing else.
            self._complaint = ServerComplained(event.text)
            self._log.warn("the NATS server complains: {complaint}", complaint=event.text)

    @property
    def complaint(self) -> ServerComplained | None:
        """The server's last -ERR."""
        return self._complaint

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell everybody who waits."""
        for call in (self._write_call, self._probe_call):
            if call is not None:
                call.cancel()
        self._write_call = self._probe_call = None
        self._frames = []
        self.pending_bytes = 0
        self.max_payload_bytes = 0
        self._lost = error = self._reason or ConnectionDropped(
            str(self._complaint or reason.getErrorMessage())
        )
        # First whoever owns the connection, so that nobody told after them still publishes on it.
        waiting, self._when_lost = self._when_lost, []
        for future in waiting:
            resolve(future, error)
        pongs, self._on_pongs = self._on_pongs, deque()
        for on_pong in pongs:
            on_pong(error)

    # -- the transport's view of us: a producer that waits while the socket is full

    def pauseProducing(self) -> None:
        """The socket is full."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The socket took everything."""
        self._paused = False
        self.pending_bytes = sum(map(len, self._frames))
        self._write_now()

    def stopProducing(self) -> None:
        """The connection is ending; :meth:`connectionLost` follows."""
        self._paused = True
