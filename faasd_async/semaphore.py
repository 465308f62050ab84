"""Twisted's semaphore, of which a token that is free can be had without a Deferred."""

from __future__ import annotations

from twisted.internet.defer import DeferredSemaphore


class Semaphore(DeferredSemaphore):
    """As the one of which it is made, but for :meth:`take`."""

    def take(self) -> bool:
        """Take a token, if one is free: then nobody waits for it.

        :return: whether there was one.
        """
        if not self.tokens:
            return False
        self.tokens -= 1
        return True
