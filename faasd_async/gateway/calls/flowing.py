"""A result that lies in the store, passed on as fast as the client takes it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from faasd_async.errors import BodyGone
from faasd_async.gateway.refusal import Refusal
from faasd_async.gateway.request import GatewayRequest
from faasd_async.queue.bodies import Pieces

_log = Logger()


async def pass_on(request: GatewayRequest, pieces: Pieces, begin: Callable[[], None]) -> None:
    """Write a body.

    :param begin: called before the first piece.
    :raises Refusal: 410, there is nothing left of it.
    """
    client = _Client()
    begun = False
    try:
        while piece := await pieces.read():
            if not begun:
                begun = True
                begin()
                request.registerProducer(client, True)
            request.write(piece)
            await client.when_ready()
    except BodyGone as reason:
        if not begun:
            raise Refusal(410, "the call's result is kept no longer") from None
        _log.warn("a result breaks off: {reason}", reason=reason)
        request.break_off()
    else:
        request.unregisterProducer()
    finally:
        pieces.close()


@implementer(IPushProducer)
class _Client:
    """Who takes pieces at a pace of its own."""

    def __init__(self) -> None:
        self._is_paused = False
        self._waiting: Deferred[None] | None = None

    def when_ready(self) -> Deferred[None]:
        """Fires when it takes more; one that leaves has the request cancelled."""
        if not self._is_paused:
            return succeed(None)
        self._waiting = Deferred()
        return self._waiting

    def pauseProducing(self) -> None:
        self._is_paused = True

    def resumeProducing(self) -> None:
        self._is_paused = False
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def stopProducing(self) -> None:
        """The client has left."""
        self.resumeProducing()
