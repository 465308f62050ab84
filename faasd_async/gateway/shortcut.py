"""The short cut: regular calls of functions go past :mod:`twisted.web` and Klein.

Both doors lead to the same rooms: what is regular (:mod:`.regular`) goes to the acceptance or the
proxy at once; everything else goes on, byte for byte, to the routes. Neither the caller nor the
call can tell which door it was.

One request of a connection is under way at a time, whichever door it took. What a client sends
meanwhile is held, up to a bound; beyond it nothing more is read from that client.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.internet.tcp import Server
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource

from faasd_async.call.headers import Headers
from faasd_async.call.route import FunctionRoute, cut
from faasd_async.direct import write_at_once
from faasd_async.gateway.accept import Acceptance
from faasd_async.gateway.answered import AT_ONCE, QUEUED
from faasd_async.gateway.arrival import Arrival
from faasd_async.gateway.channel import GatewayChannel
from faasd_async.gateway.outgoing import CLOSE_LINE, Outgoing
from faasd_async.gateway.passage import Passage
from faasd_async.gateway.peers import peer_name
from faasd_async.gateway.proxy import Proxy
from faasd_async.gateway.receipt import Receipt
from faasd_async.gateway.refusal import Fields, Refusal, failed_inside
from faasd_async.gateway.regular import Recogniser, Regular, Unfinished
from faasd_async.gateway.site import BodyLimit, GatewaySite
from faasd_async.gateway.written import accepted, refused
from faasd_async.runtime.deployments import Deployment

_log = Logger()

_CLOSE = ((b"Connection", b"close"),)

#: What a client may send ahead while a request of its is under way.
MAX_HELD_BYTES = 16 * 1024


class ShortcutChannel(GatewayChannel):
    """One client connection, with the short cut in front of it."""

    site: ShortcutSite
    #: A TCP or TLS server's, of which more is used than its interface says.
    transport: Any

    def __init__(self) -> None:
        super().__init__()
        self._recogniser = Recogniser()
        self._pieces: list[bytes] = []
        self._received_bytes = 0
        self._wanted_bytes = 0
        self._under_way = False
        self._walking = False
        self._paused_client = False
        self._active = False
        self._gone = False
        self._is_plain = False
        self._passage: Passage | None = None
        self._peer_name = b""
        self._began_seconds = 0.0

    def connectionMade(self) -> None:
        super().connectionMade()
        self._peer_name = peer_name(self.transport.getPeer())
        self._is_plain = isinstance(self.transport, Server) and not self.isSecure()

    @property
    def is_idle(self) -> bool:
        return super().is_idle and not (self._under_way or self._wanted_bytes)

    @property
    def _accepting(self) -> bool:
        if self._under_way:
            return self._passage is None
        return super()._accepting

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._gone = True
        super().connectionLost(reason)
        if self._passage is not None:
            self._passage.leave()

    def readConnectionLost(self) -> None:
        if self._passage is None:
            super().readConnectionLost()
        else:
            # Somebody who left without a word looks the same: the function is let go of.
            self.transport.abortConnection()

    def timeoutConnection(self) -> None:
        # The other door stops the clock while it works, and winds it up after each line.
        if (self._under_way and not self.broken_off) or self._active:
            self._active = False
            self.setTimeout(self.timeOut)
        else:
            super().timeoutConnection()

    def dataReceived(self, data: bytes) -> None:
        """Go on with what came, or hold it."""
        if self.refused:
            return
        if self._under_way or self._wanted_bytes:
            self._pieces.append(data)
            self._received_bytes += len(data)
            if self._under_way:
                if self._received_bytes > MAX_HELD_BYTES:
                    self._paused_client = True
                    self.transport.pauseProducing()
                return
            if self._received_bytes < self._wanted_bytes:
                return
            data = self._take_held()
        self._walk(data)

    def _take_held(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces = []
        self._received_bytes = self._wanted_bytes = 0
        if self._paused_client:
            self._paused_client = False
            self.transport.resumeProducing()
        return data

    def _walk(self, data: bytes) -> None:
        """Take the requests that *data* begins with."""
        self._walking = True
        try:
            while data and not self._under_way:
                found = self._recogniser.read(data) if self._between_requests else None
                if type(found) is Unfinished and self._is_for_us(found):
                    self._pieces, self._received_bytes = [data], len(data)
                    self._wanted_bytes = found.size_bytes
                    return
                if type(found) is not Regular or not self._begin(found, data):
                    super().dataReceived(data)
                    return
                rest = data[found.size_bytes :]
                if rest and self._under_way:
                    self._pieces, self._received_bytes = [rest], len(rest)
                data = rest
        finally:
            self._walking = False

    @property
    def _between_requests(self) -> bool:
        """Whether the other door has nothing of this client's in hand."""
        return not (
            self._last
            or self.requests
            or self.refused
            or self._busyReceiving
            or self._buffer
            or not self.line_mode
            or not getattr(self, "_HTTPChannel__first_line")  # noqa: B009
            or self.transport.disconnecting
        )

    def _begin(self, found: Regular, data: bytes) -> bool:
        """Have the request that *data* begins with accepted or passed on, unless it is not for
        this door."""
        route, site = found.route, self.site
        if route is None:
            return False
        deployment = site.find_regular(found.method, route, found.body_bytes)
        if deployment is None:
            return False
        self._under_way = self._active = True
        self._began_seconds = site.seconds()
        body = data[len(found.head) : found.size_bytes]
        arrival = Arrival(
            route, found.method, found.headers, body, self._peer_name, self.trusted, False, found
        )
        if route.asynchronous:
            self._take(arrival, deployment)
        else:
            self._pass_on(arrival, deployment)
        return True

    def _take(self, arrival: Arrival, deployment: Deployment) -> None:
        try:
            self.site.acceptance.take(arrival, self._answer, deployment)
        except Exception:
            _log.failure("a request failed inside the gateway")
            self._answer(failed_inside())

    def _pass_on(self, arrival: Arrival, deployment: Deployment) -> None:
        caller = ShortcutCaller(self, arrival.method)
        try:
            self._passage = self.site.proxy.pass_on(arrival, caller, deployment)
        except Exception:
            caller.fail(Failure())

    def _is_for_us(self, begun: Unfinished) -> bool:
        """Whether a request is for a function, and its body not too large for that."""
        route = cut(begun.target)
        if route is None:
            return False
        return self.site.find_regular(begun.method, route, begun.body_bytes) is not None

    def _answer(self, answer: Receipt | Refusal) -> None:
        """What became of an asynchronous call."""
        if self._gone:
            return
        date, farewell = self.site.date(), self.farewell
        if type(answer) is Receipt:
            more = (*answer.more, *farewell)
            call_id = answer.key.call_id.encode()
            self.send(accepted(date, call_id, answer.start_time_ns, answer.location, more))
            self.answered(b"POST", QUEUED, 202)
        else:
            assert isinstance(answer, Refusal)
            self.send(refused(date, answer, *farewell))
            self.answered(b"POST", QUEUED, answer.status)

    # -- what answers need

    @property
    def farewell(self) -> Fields:
        """What is added to the head of the last answer."""
        return _CLOSE if self._last else ()

    def answered(self, method: bytes, path: str, status: int) -> None:
        """The request under way is answered: go on with what was held meanwhile."""
        site = self.site
        site.answered(method, path, status, site.seconds() - self._began_seconds)
        self._under_way = False
        self._passage = None
        if self._last:
            self.loseConnection()
        elif self._pieces and not self._walking:
            self._walk(self._take_held())

    def send(self, data: bytes) -> None:
        """Write at once what the socket takes."""
        if self._is_plain:
            write_at_once(self.transport, data)
        else:
            self.transport.write(data)


class ShortcutCaller:
    """A caller who came by the short cut; see :class:`~.passage.Caller`."""

    __slots__ = ("_channel", "_method", "_out", "_status")

    def __init__(self, channel: ShortcutChannel, method: bytes) -> None:
        self._channel = channel
        self._method = method
        self._out = Outgoing(channel.send, method, chunks=True)
        self._status = 0

    def begin(self, status: int, fields: Headers, ours: bytes, pace: IPushProducer) -> None:
        channel = self._channel
        self._status = status
        if channel.farewell:
            ours += CLOSE_LINE
        self._out.begin(status, channel.site.date(), fields, ours)
        channel.registerProducer(pace, True)

    def write(self, piece: bytes) -> None:
        self._out.write(piece)

    def flush(self) -> None:
        self._out.flush()

    def end(self) -> None:
        self._out.end()
        self._channel.unregisterProducer()
        self._channel.answered(self._method, AT_ONCE, self._status)

    def break_off(self) -> None:
        self._out.flush()
        self._channel.unregisterProducer()
        self._channel.break_off()

    def refuse(self, refusal: Refusal) -> None:
        channel, has_body = self._channel, self._method != b"HEAD"
        channel.send(refused(channel.site.date(), refusal, *channel.farewell, body=has_body))
        channel.answered(self._method, AT_ONCE, refusal.status)

    def fail(self, failure: Failure) -> None:
        if not self._out.begun:
            _log.failure("a request failed inside the gateway", failure=failure)
            self.refuse(failed_inside())
            return
        _log.failure("a reply failed inside the gateway", failure=failure)
        self.break_off()


class ShortcutSite(GatewaySite):
    """The factory of client connections with a short cut.

    :param acceptance: where regular asynchronous calls go at once.
    :param proxy: where regular synchronous calls go.
    :param find_regular: whom a call is for, given its method, its route and how long its body is;
        ``None``: it is not to be gathered here.
    """

    protocol = ShortcutChannel

    def __init__(
        self,
        resource: IResource,
        largest_body_bytes: BodyLimit,
        read_timeout_seconds: float,
        reactor: IReactorTime,
        acceptance: Acceptance,
        proxy: Proxy,
        *,
        find_regular: Callable[[bytes, FunctionRoute, int], Deployment | None],
    ) -> None:
        super().__init__(resource, largest_body_bytes, read_timeout_seconds, reactor)
        self.find_regular = find_regular
        self.acceptance = acceptance
        self.proxy = proxy
