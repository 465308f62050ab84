"""The signals an operator sends.

twistd's own handlers would end the process with status 143 on SIGTERM and let SIGHUP kill it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

from twisted.internet.interfaces import IReactorFromThreads


def install(
    reactor: IReactorFromThreads, stop: Callable[[], None], reload: Callable[[], None]
) -> None:
    """Have *stop* called for SIGTERM and SIGINT, *reload* for SIGHUP, each in a reactor turn.

    Call it once the reactor runs: it installs its own handlers when it starts.
    """
    for number, action in (
        (signal.SIGTERM, stop),
        (signal.SIGINT, stop),
        (signal.SIGHUP, reload),
    ):
        signal.signal(number, _in_reactor(reactor, action))


def _in_reactor(
    reactor: IReactorFromThreads, action: Callable[[], None]
) -> Callable[[int, FrameType | None], None]:
    def received(number: int, frame: FrameType | None) -> None:
        reactor.callFromThread(action)

    return received
