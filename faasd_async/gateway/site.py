"""A door's connections: what they have in common, and how they end when it is closed."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.web.resource import IResource
from twisted.web.server import Site

from faasd_async.call.headers import Headers
from faasd_async.call.route import FunctionRoute
from faasd_async.gateway.answered import Answered, nobody
from faasd_async.gateway.channel import GatewayChannel
from faasd_async.gateway.peers import Crowd, Trusted
from faasd_async.gateway.request import GatewayRequest
from faasd_async.gateway.upload import Uploads

#: So long a client that is silent when the door is closed has for one more request.
LAST_WORDS_SECONDS = 0.5

#: Given the method, the function it is for, and the header fields.
BodyLimit = Callable[[bytes, FunctionRoute | None, Headers], int]


class GatewaySite(Site):
    """The factory of client connections.

    :ivar channels: those who are connected.
    :ivar uploads: where bodies go that are too large to be gathered.
    :ivar crowd: counts them by their addresses; ``None``: nobody does.
    :ivar trusted: whose word counts for where a request came from; ``None``: everybody's.
    :ivar answered: told of each answer.
    :param largest_body_bytes: the limit for a body, given the method and the function it is for;
        raises a :class:`~.refusal.Refusal` if the answer is no whatever the body.
    """

    protocol = GatewayChannel  # type: ignore[assignment]  # HTTP/1.1 alone, no negotiation
    requestFactory = GatewayRequest
    displayTracebacks = False
    noisy = False
    crowd: Crowd | None = None
    trusted: Trusted | None = None

    def __init__(
        self,
        resource: IResource,
        largest_body_bytes: BodyLimit,
        read_timeout_seconds: float,
        reactor: IReactorTime,
    ) -> None:
        super().__init__(
            resource,
            reactor=reactor,
            requestFactory=GatewayRequest,
            timeout=read_timeout_seconds,
            parsePOSTFormSubmission=False,
        )
        self.largest_body_bytes = largest_body_bytes
        self.seconds = reactor.seconds
        self.answered: Answered = nobody
        self.channels: set[GatewayChannel] = set()
        self.uploads: Uploads | None = None
        self._date = b""
        self._date_second = 0

    def date(self) -> bytes:
        """The present time, as a ``Date`` field has it."""
        second = int(time.time())
        if second != self._date_second:
            self._date_second, self._date = second, formatdate(second, usegmt=True).encode()
        return self._date

    async def let_clients_go(self) -> None:
        """Answer what is under way, and nothing that comes after it.

        Who is silent may have sent a request that nobody has read yet, if it came just now: such
        clients are closed after a moment.
        """
        for channel in self.channels:
            channel.let_go()
        if any(channel.is_idle for channel in self.channels):
            await deferLater(self.reactor, LAST_WORDS_SECONDS)
        for channel in list(self.channels):
            channel.leave()

    def log(self, request: object) -> None:
        """No access log: each call has a line of its own."""

    def startFactory(self) -> None:
        """Open no access log, tick no clock for it."""

    def stopFactory(self) -> None:
        """Nothing to close."""
