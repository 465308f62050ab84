"""Whether the broker answers.

A connection shows only after a minute that there is nobody behind it any more. A process that
stands still, or one that waits for a disk that does, keeps its connections; meanwhile no call that
is pushed is answered in time. So it is asked each second.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: How often it is asked.
ASK_SECONDS = 1.0

#: An answer that takes longer than this is none.
PATIENCE_SECONDS = 2.0


class Answering:
    """Asks while there is a connection.

    :param ask: what it is asked by; fires with its answer, or fails with the connection.
    """

    def __init__(self, clock: IReactorTime, ask: Callable[[], Deferred[None]]) -> None:
        self._clock = clock
        self._ask = ask
        self._asked: Deferred[None] | None = None
        self._asked_at = 0.0
        self._next: IDelayedCall | None = None

    def connected(self) -> None:
        """Ask from now on."""
        self.disconnected()
        self._ask_now()

    def disconnected(self) -> None:
        """Ask no more."""
        self._asked = None
        if self._next is not None:
            self._next.cancel()
            self._next = None

    @property
    def why_not(self) -> str | None:
        """That it does not answer, in words, or ``None``."""
        if self._asked is None:
            return None
        seconds = self._clock.seconds() - self._asked_at
        if seconds < PATIENCE_SECONDS:
            return None
        return f"the NATS server has not answered for {seconds:.0f} seconds"

    def _ask_now(self) -> None:
        self._next = None
        self._asked_at = self._clock.seconds()
        asked = self._asked = self._ask()
        asked.addBoth(self._answered, asked)

    def _answered(self, _: object, asked: Deferred[None]) -> None:
        if asked is self._asked:
            self._asked = None
            self._next = self._clock.callLater(ASK_SECONDS, self._ask_now)
