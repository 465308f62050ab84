"""How full a stream is, without asking the broker each time."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from faasd_async.nats.errors import NatsError
from faasd_async.nats.jetstream import JetStream, StreamState

#: How old the knowledge may be, as long as somebody wants to know.
_LOOK_SECONDS = 1.0


class Filling:
    """Looks at a stream when it is asked about, once in a while, and tells what it saw last.

    :param share_of: how much of its quotas the stream's state is; 1 is full.
    """

    def __init__(
        self,
        clock: IReactorTime,
        jetstream: JetStream,
        stream: str,
        share_of: Callable[[StreamState], float],
    ) -> None:
        self._clock = clock
        self._jetstream = jetstream
        self._stream = stream
        self._share_of = share_of
        self._share = 0.0
        self._looked_seconds = float("-inf")

    @property
    def share(self) -> float:
        """What was seen last; 0 before anything was."""
        now_seconds = self._clock.seconds()
        if now_seconds - self._looked_seconds >= _LOOK_SECONDS:
            self._looked_seconds = now_seconds
            Deferred.fromCoroutine(self._look()).addErrback(_not_seen)
        return self._share

    async def _look(self) -> None:
        info = await self._jetstream.stream_info(self._stream)
        self._share = self._share_of(info.state)


def _not_seen(failure: Failure) -> None:
    """Then what was seen before has to do."""
    failure.trap(NatsError)
