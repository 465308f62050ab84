"""Pauses that end with the process."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed

from faasd_async.queue.interface import Source
from faasd_async.queue.paused import Paused


class MemoryPauses(Paused):
    """See :class:`~faasd_async.queue.interface.Pauses`."""

    def pause(self, source: Source) -> Deferred[None]:
        self.become({*self.sources, source})
        return succeed(None)

    def resume(self, source: Source) -> Deferred[None]:
        self.become(self.sources - {source})
        return succeed(None)
