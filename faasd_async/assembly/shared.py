"""What the parts of the daemon have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from faasd_async.callback.destination import DestinationPolicy
from faasd_async.gateway.doors import Doors
from faasd_async.observe.calls import CallWatch
from faasd_async.observe.figures import Figures
from faasd_async.options import Options


class Shared:
    """What everybody is given, and is told.

    :ivar static: whether calls are taken from queues rather than from functions.
    :ivar policy: where callbacks may go.
    """

    def __init__(self, reactor: Any, options: Options) -> None:
        self.reactor = reactor
        self.options = options
        self.settings = options.settings
        self.state_dir = Path(self.settings.state_dir)
        self.static = self.settings.queue.mode == "static"
        self.figures = Figures()
        # What twistd's own observers show is not known here.
        level = options.level if options.observer else None
        self.watch = CallWatch(self.figures, self.settings.worker.write_debug, level)
        self.doors = Doors(reactor)
        self.policy = DestinationPolicy(
            self.settings.callback.policy == "private",
            lambda: self.doors.port_numbers,
            self.settings.gateway.aliases,
        )

    def elsewhere(self, change: Callable[[], None]) -> Deferred[None]:
        """Have something done in a thread."""
        return deferToThreadPool(self.reactor, self.reactor.getThreadPool(), change)
