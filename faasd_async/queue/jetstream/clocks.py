"""Whether this machine's clock and the broker's tell the same time.

The broker moves what was put off when its time has come, and forgets what is kept no longer, by a
clock of its own. Where that is another machine's, ours may be behind it, because nobody has set it
yet: so the first start waits for that. After that, and where ours is ahead, there is nobody to say
which of them is wrong; but somebody should know of it.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from faasd_async.nats.jetstream import JetStream

#: So much apart they may be.
_NEARLY_SECONDS = 2.0

#: Fires when the clock shows no less than this, Unix time, or that was waited for long enough.
WhenBelieved = Callable[[float], Deferred[None]]


def at_once(least_seconds: float) -> Deferred[None]:
    """Whatever the clock shows."""
    return succeed(None)


class Clocks:
    """Compares the two.

    :param now_seconds: the wall clock, Unix time.
    """

    _log = Logger()

    def __init__(
        self, jetstream: JetStream, now_seconds: Callable[[], float], when_believed: WhenBelieved
    ) -> None:
        self._jetstream = jetstream
        self._now_seconds = now_seconds
        self._when_believed = when_believed
        self._told_seconds = 0.0

    async def agree(self, stream: str, *, patient: bool) -> None:
        """Wait until our clock is not behind, and say so where they are apart all the same.

        :param stream: one that is there, to ask about.
        :param patient: whether there is time to wait.
        :raises NatsError: the broker did not tell.
        """
        ahead_seconds = await self._ahead_seconds(stream)
        if ahead_seconds < -_NEARLY_SECONDS and patient:
            await self._when_believed(self._now_seconds() - ahead_seconds)
            ahead_seconds = await self._ahead_seconds(stream)
        if abs(ahead_seconds - self._told_seconds) > _NEARLY_SECONDS:
            self._told_seconds = ahead_seconds
            self._tell(ahead_seconds)

    def _tell(self, ahead_seconds: float) -> None:
        if abs(ahead_seconds) <= _NEARLY_SECONDS:
            self._log.info("the clock of this machine is that of the NATS server again")
            return
        self._log.warn(
            "the clock of this machine is {seconds:.0f} s {way} that of the NATS server: what is"
            " put off comes so much too {when}, and what is kept or expires is off by as much; set"
            " the one that is wrong",
            seconds=abs(ahead_seconds),
            way="ahead of" if ahead_seconds > 0 else "behind",
            when="late" if ahead_seconds > 0 else "early",
        )

    async def _ahead_seconds(self, stream: str) -> float:
        """How far our clock is surely ahead of the broker's; less than 0: behind it."""
        before_seconds = self._now_seconds()
        told = (await self._jetstream.stream_info(stream)).ts
        if told is None:
            return 0.0
        there_seconds, after_seconds = told.timestamp(), self._now_seconds()
        if there_seconds < before_seconds:
            return before_seconds - there_seconds
        return min(after_seconds - there_seconds, 0.0)
