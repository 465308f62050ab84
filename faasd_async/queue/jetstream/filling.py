"""How full a stream is, without asking the broker each time: what it says once in a while is
reckoned on from there."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from faasd_async.nats.errors import NatsError
from faasd_async.nats.jetstream import JetStream

#: How old the knowledge may be, as long as somebody wants to know.
_LOOK_SECONDS = 1.0

#: With so much of its quota taken a stream is full, whatever may be small enough still.
_FULL_SHARE = 0.99

#: A refusal says for so long that there is none for messages of its size.
_REFUSAL_COUNTS_SECONDS = 30.0


class Filling:
    """Looks at a stream when it is asked about, once in a while, and tells what it saw last.

    :param share_of: how much of its quotas so many bytes in so many messages are; 1 is full.
    """

    def __init__(
        self,
        clock: IReactorTime,
        jetstream: JetStream,
        stream: str,
        share_of: Callable[[int, int], float],
    ) -> None:
        self._clock = clock
        self._jetstream = jetstream
        self._stream = stream
        self._share_of = share_of
        self._bytes = self._messages = 0
        self._refused_bytes = 0
        self._refused_seconds = float("-inf")
        self._looked_seconds = float("-inf")

    @property
    def share(self) -> float:
        """As far as is known; 0 before anything was seen."""
        if self._clock.seconds() - self._looked_seconds >= _LOOK_SECONDS:
            self.look()
        return self._share_of(self._bytes, self._messages)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for anything, or was none just now and is none yet for what was
        refused."""
        share = self.share
        if share >= _FULL_SHARE:
            return True
        if self._clock.seconds() - self._refused_seconds > _REFUSAL_COUNTS_SECONDS:
            return False
        more_bytes = self._bytes + self._refused_bytes
        return self._share_of(more_bytes, self._messages + 1) > 1.0

    def refused(self, size_bytes: int) -> None:
        """The broker has taken no message of this size."""
        self._refused_bytes = size_bytes
        self._refused_seconds = self._clock.seconds()
        self.look()

    def add(self, size_bytes: int, messages: int) -> None:
        """So much is put into it, or taken out of it if it is less than 0."""
        self._bytes += size_bytes
        self._messages += messages

    def look(self) -> None:
        """Ask the broker."""
        self._looked_seconds = self._clock.seconds()
        Deferred.fromCoroutine(self._look()).addErrback(_not_seen)

    async def _look(self) -> None:
        state = (await self._jetstream.stream_info(self._stream)).state
        self._bytes, self._messages = state.bytes, state.messages


def _not_seen(failure: Failure) -> None:
    """Then what was seen before has to do."""
    failure.trap(NatsError)
