"""A provider of functions beside the daemon, in the test's own reactor."""

from __future__ import annotations

from typing import Any

from fake_provider import FakeProvider
from twisted.protocols.policies import WrappingFactory
from twisted.web.server import Site

PASSWORD = "admin:s3cret"


class Neighbour:
    """One that can go away and come back, to the same port.

    :ivar fake: what it says.
    """

    def __init__(self, reactor: Any) -> None:
        self.fake = FakeProvider(PASSWORD)
        self._reactor = reactor
        self._factory = WrappingFactory(Site(self.fake))
        self._number = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._number}"

    def come(self) -> None:
        self._port = self._reactor.listenTCP(self._number, self._factory, interface="127.0.0.1")
        self._number = self._port.getHost().port

    async def go(self) -> None:
        await self._port.stopListening()
        for connection in list(self._factory.protocols):
            connection.transport.abortConnection()
