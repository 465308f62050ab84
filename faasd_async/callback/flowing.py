"""A large callback on its way out: read from the store as fast as its receiver takes it."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from faasd_async.call.body import StoredBody
from faasd_async.queue.bodies import Bodies, Pieces


@implementer(IBodyProducer)
class StoredProducer:
    """A stored body for Twisted's HTTP client."""

    def __init__(self, bodies: Bodies, body: StoredBody) -> None:
        self.length = len(body)
        self._bodies = bodies
        self._body = body
        self._pieces: Pieces | None = None
        self._waiting: Deferred[None] | None = None
        self._is_paused = self._is_over = False

    def startProducing(  # noqa: N802 - Twisted's name
        self, consumer: IConsumer
    ) -> Deferred[None]:
        self._pieces = self._bodies.open(self._body)
        return Deferred.fromCoroutine(self._produce(self._pieces, consumer))

    async def _produce(self, pieces: Pieces, consumer: IConsumer) -> None:
        try:
            while piece := await pieces.read():
                if self._is_over:
                    # Whoever has stopped this does not wait for its end.
                    await Deferred()
                consumer.write(piece)
                await self._when_ready()
        finally:
            pieces.close()

    def _when_ready(self) -> Deferred[None]:
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
        self._is_over = True
        if self._pieces is not None:
            self._pieces.close()
