"""Where twistd begins: it reads the :class:`Options` and asks for the service.

``makeService`` runs before twistd forks and before it drops privileges: nothing is opened,
spawned or listened on here, nor in ``assembly``.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from faasd_async.tls_when_needed import put_off

put_off()

from twisted.application.service import IService  # noqa: E402 - what may load TLS comes behind it
from twisted.internet.protocol import Factory  # noqa: E402

from faasd_async.assembly.whole import assemble  # noqa: E402
from faasd_async.garbage import look_less_often  # noqa: E402
from faasd_async.options import Options  # noqa: E402

__all__ = ["Options", "keep_monotonic", "makeService"]


def makeService(options: Options) -> IService:
    """Put the daemon together."""
    from twisted.internet import reactor

    # Twisted tells of every factory that starts and stops: one for each outgoing connection.
    Factory.noisy = False
    keep_monotonic(reactor)
    daemon = assemble(reactor, options)
    write_in_turns(reactor, options)
    look_less_often()
    return daemon


def write_in_turns(reactor: Any, options: Options) -> None:
    """Have the lines of our log gathered while a reactor runs."""
    lines = options.observer
    if lines is None:
        return
    reactor.callWhenRunning(lines.gather, partial(reactor.callLater, 0))
    reactor.addSystemEventTrigger("before", "shutdown", lines.gather_no_more)


def keep_monotonic(reactor: Any) -> None:
    """Have a reactor that nothing waits for yet measure its waits by the monotonic clock.

    Twisted's own choice is the clock on the wall: put forward by a day it would end every wait, put
    back by one it would make them all a day longer.
    """
    if not reactor.getDelayedCalls():
        reactor.seconds = time.monotonic
