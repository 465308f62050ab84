"""Brings back a server that has stopped storing.

After a write error nats-server acknowledges nothing more for the stream that met it, and says so
nowhere but in its log; room on the disk does not change that, only a new start does. So there is
one as soon as there is room, and not before: on a full disk it would meet the next error at once.
If it meets one soon all the same (somebody else takes the room, the disk is failing) the next
start has to wait longer, up to a minute.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from faasd_async.nats.server.supervisor import EmbeddedServer

#: How often the room is looked at, and at first how long a server is left in its state.
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0

#: A server that has stored for so long is well again.
WELL_AFTER_SECONDS = 60.0


class Rescue:
    """Watches over a server.

    :param free_bytes: the room there is; ``None`` if it is not known, which is taken for enough.
    :param enough_bytes: the room with which a new start is worth it.
    :param why_not: why no start would be, or ``None``: what was stored is gone.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        server: EmbeddedServer,
        free_bytes: Callable[[], int | None],
        enough_bytes: int,
        why_not: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._server = server
        self._free_bytes = free_bytes
        self._enough_bytes = enough_bytes
        self._why_not = why_not
        self._wait_seconds = FIRST_WAIT_SECONDS
        self._started_seconds = float("-inf")
        self._look: IDelayedCall | None = None
        server.on_write_error.append(self._failed)
        server.on_exit.append(self._gone)

    def _failed(self, reason: str) -> None:
        if self._why_not() is not None:
            return
        now = self._clock.seconds()
        if now - self._started_seconds >= WELL_AFTER_SECONDS:
            self._wait_seconds = FIRST_WAIT_SECONDS
        else:
            self._wait_seconds = min(self._wait_seconds * 2, LONGEST_WAIT_SECONDS)
        self._log.critical(
            "the broker cannot write ({reason}), and stores nothing more: new calls are refused,"
            " and what was accepted is held. Make room: it is started anew by itself when"
            " {enough:.0f} MiB are free",
            reason=reason,
            enough=self._enough_bytes / 2**20,
        )
        self._look = self._clock.callLater(self._wait_seconds, self._look_for_room)

    def _look_for_room(self) -> None:
        if self._why_not() is not None:
            self._look = None
            return
        free = self._free_bytes()
        if free is not None and free < self._enough_bytes:
            self._look = self._clock.callLater(FIRST_WAIT_SECONDS, self._look_for_room)
            return
        self._look = None
        self._started_seconds = self._clock.seconds()
        self._log.warn("there is room again: the broker is started anew")
        self._server.restart()

    def _gone(self, how: str) -> None:
        """The server has ended; whatever comes after it begins afresh."""
        if self._look is not None:
            self._look.cancel()
            self._look = None
