"""Logs: what is not ours is passed on as it comes."""

from __future__ import annotations

from faasd_async.gateway.query import Query
from faasd_async.gateway.refusal import RETRY_LATER, Refusal
from faasd_async.gateway.request import GatewayRequest
from faasd_async.gateway.system.functions import Functions
from faasd_async.gateway.system.log_lines import LogLines
from faasd_async.gateway.system.shared.theirs import Theirs
from faasd_async.provider.interface import Receiver

#: So many answers may be on their way at a time.
MOST_FLOWING = 100

_PASSED_ON = ("tail", "follow", "since", "instance")


class SharedLogs:
    """See :class:`~..provider.ShowsLogs`."""

    def __init__(self, own: LogLines, functions: Functions, theirs: Theirs) -> None:
        self._own = own
        self._functions = functions
        self._theirs = theirs
        self._flowing = 0

    async def show(self, query: Query, request: GatewayRequest) -> None:
        """Answer *request*.

        :raises Refusal: there is nothing to be told.
        """
        name, namespace = query.text("name"), query.text("namespace")
        if name is None or self._functions.holds(name, namespace):
            await self._own.show(query, request)
            return
        if self._flowing >= MOST_FLOWING:
            raise Refusal(503, f"{MOST_FLOWING} clients read logs already", RETRY_LATER)
        name, namespace = self._theirs.named(name, namespace)
        asked = [(each, query.text(each)) for each in _PASSED_ON]
        said = [("name", name), ("namespace", namespace)]
        said += [(each, value) for each, value in asked if value is not None]
        self._flowing += 1
        try:
            await self._pass_on(said, request)
        finally:
            self._flowing -= 1

    async def _pass_on(self, said: list[tuple[str, str]], request: GatewayRequest) -> None:
        begun = False

        def begins(pace: object) -> None:
            nonlocal begun
            begun = True
            request.setHeader(b"Content-Type", b"application/x-ndjson")
            request.setHeader(b"X-Accel-Buffering", b"no")
            request.registerProducer(pace, True)
            # Whoever follows a function that is silent sees that it is followed.
            request.write(b"")

        ended = await self._theirs.follow("logs", said, Receiver(begins, request.write))
        try:
            await ended
        finally:
            if begun:
                request.unregisterProducer()
