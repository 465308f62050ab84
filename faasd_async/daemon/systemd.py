"""What systemd is told, if it was systemd that started the daemon.

One datagram to ``$NOTIFY_SOCKET`` for each thing: when it is ready, how it is, that it stops. The
watchdog is petted by the reactor alone: it says that the reactor turns, and nothing of the broker,
whose troubles a restart would not end; they stand in the status. Source: ``sd_notify(3)``.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, MutableMapping

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

#: How often the status is looked at where no watchdog wants to hear more often.
_LOOK_SECONDS = 10.0

#: A start or a stop that is under way gets so much longer at each look.
_LONGER_SECONDS = 3 * _LOOK_SECONDS


class Notifier:
    """Tells systemd; says nothing where nobody listens.

    :param environment: of the process. What systemd put there for this process is taken out of it,
        lest a child take it for its own.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, environment: MutableMapping[str, str]) -> None:
        path = environment.pop("NOTIFY_SOCKET", "")
        microseconds = environment.pop("WATCHDOG_USEC", "")
        watched = environment.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._socket: socket.socket | None = None
        if path:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        self._watchdog_seconds = (
            int(microseconds) / 1e6 if microseconds.isdigit() and watched else 0.0
        )
        self._how: Callable[[], str] = lambda: ""
        self._is_moving = False
        self._is_up = False
        self._said = ""
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def start(self, how: Callable[[], str]) -> None:
        """Begin to tell.

        :param how: says in a line how the daemon is.
        """
        self._how = how
        self._is_moving = True
        if self._socket is not None:
            half = self._watchdog_seconds / 2 or _LOOK_SECONDS
            self._looking.start(min(half, _LOOK_SECONDS)).addErrback(
                lambda failure: self._log.failure("systemd is told no more: a bug", failure=failure)
            )

    def ready(self) -> None:
        """Calls are taken: what is ordered after this daemon may start."""
        self._is_moving = False
        self._is_up = True
        self._tell("READY=1", self._status())

    def reloading(self) -> None:
        """The settings are being read again; :meth:`ready` follows."""
        now_microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell("RELOADING=1", f"MONOTONIC_USEC={now_microseconds}")

    def stopping(self) -> None:
        """The daemon is on its way down."""
        self._is_moving = True
        self._tell("STOPPING=1", self._status())

    def look(self) -> None:
        """Tell at once how the daemon is, if that has changed."""
        status = self._status()
        if status != self._said:
            self._tell(status)

    def stop(self) -> None:
        """Say no more."""
        if self._looking.running:
            self._looking.stop()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _look(self) -> None:
        # Nobody watches a start: how long it may take is told by extensions.
        lines = ["WATCHDOG=1"] if self._watchdog_seconds and self._is_up else []
        if self._is_moving:
            lines.append(f"EXTEND_TIMEOUT_USEC={_LONGER_SECONDS * 1e6:.0f}")
        status = self._status()
        if status != self._said:
            lines.append(status)
        if lines:
            self._tell(*lines)

    def _status(self) -> str:
        return "STATUS=" + self._how().replace("\n", " ")

    def _tell(self, *lines: str) -> None:
        if self._socket is None:
            return
        self._said = next((line for line in lines if line.startswith("STATUS=")), self._said)
        try:
            self._socket.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)
        except OSError as error:
            self._log.warn("systemd could not be told: {error}", error=error)
