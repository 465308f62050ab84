"""Twisted's reactor on epoll without log contexts: ``twistd --reactor faasd-async``.

Twisted surrounds each event of a connection with the name that the connection has in logs. Nothing
here logs by that name, and giving it takes a fifteenth of the time that accepting a call takes.
"""

from __future__ import annotations

from faasd_async.tls_when_needed import put_off

put_off()

from twisted.internet.epollreactor import EPollReactor  # noqa: E402 - it may load TLS
from twisted.internet.main import installReactor  # noqa: E402
from twisted.logger import Logger  # noqa: E402


class LeanReactor(EPollReactor):
    """As the one of which it is made, but for that."""

    _log = Logger()

    def doPoll(self, timeout: float | None) -> None:  # noqa: N802
        """Wait for events, and tell whom they concern.

        :param timeout: seconds; ``None``: as long as it takes.
        """
        wait = -1 if timeout is None else timeout
        for descriptor, event in self._poller.poll(wait, len(self._selectables)):
            # One before it may have closed this one.
            selectable = self._selectables.get(descriptor)
            if selectable is None:
                continue
            try:
                self._doReadOrWrite(selectable, descriptor, event)  # type: ignore[no-untyped-call]
            except Exception:
                self._log.failure("an event of {selectable} failed", selectable=selectable)

    doIteration = doPoll  # noqa: N815


def install() -> None:
    """Make it this process' reactor."""
    installReactor(LeanReactor())  # type: ignore[no-untyped-call]
