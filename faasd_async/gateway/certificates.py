"""Certificates of doors that speak TLS, which may be renewed while the doors are open.

Twisted reads the files of an endpoint once, when the endpoint is made. So the endpoint is made anew
when they have changed, and what it would listen with is given to whoever comes in from then on.
Those who are in keep what they came in by.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.logger import Logger

#: What a file was, so that it can be told whether it has changed: its place on the disk, its size
#: and when it was written.
_Stamp = tuple[str, int, int, int]

_FIELD = re.compile(r"(?:\\.|[^:\\])+")
_FILES = ("privateKey", "certKey", "extraCertChain", "dhParameters")


def speaks_tls(description: str) -> bool:
    """Whether an endpoint string means TLS."""
    return _bare(description).partition(":")[0] in ("ssl", "tls")


class TlsDoor:
    """A listening port with a certificate.

    :param description: its endpoint string.
    :param factory: builds the protocols of those who come in.
    """

    _log = Logger()

    def __init__(self, reactor: Any, description: str, factory: IProtocolFactory) -> None:
        self._reactor = reactor
        self._description = description
        self._factory = factory
        self._stamps = tuple(_stamps(description))
        self._entrance = _Entrance()

    def listen(self) -> Any:
        """:return: a Deferred that fires with the port."""

        def listen(port: int, tls: Factory, backlog: int, interface: str) -> IListeningPort:
            self._entrance.tls = tls
            opened: IListeningPort = self._reactor.listenTCP(
                port, self._entrance, backlog, interface
            )
            return opened

        return self._make(listen)

    def renew(self) -> None:
        """Take over what the files hold by now, if they have changed. What cannot be used changes
        nothing, and is told."""
        stamps = tuple(_stamps(self._description))
        if stamps == self._stamps:
            return

        def take_over(port: int, tls: Factory, backlog: int, interface: str) -> None:
            self._entrance.tls = tls

        try:
            # It knows neither Deferred nor wait: nothing is listened on.
            self._make(take_over)
        except Exception as reason:
            self._log.error(
                "{endpoint} keeps its certificate, for the new one cannot be used: {reason}",
                endpoint=self._description,
                reason=str(reason) or type(reason).__name__,
            )
            return
        self._stamps = stamps
        self._log.info("{endpoint} has its renewed certificate", endpoint=self._description)

    def _make(self, listen: Any) -> Any:
        endpoint = serverFromString(_Listening(self._reactor, listen), self._description)
        return endpoint.listen(self._factory)


class _Listening:
    """The reactor, except that *listen* is asked to listen for TLS."""

    def __init__(self, reactor: Any, listen: Any) -> None:
        self._reactor = reactor
        self._listen = listen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenSSL(  # noqa: N802 - Twisted's name
        self,
        port: int,
        factory: IProtocolFactory,
        contextFactory: Any,  # noqa: N803 - Twisted's name
        backlog: int = 50,
        interface: str = "",
    ) -> Any:
        # It loads TLS.
        from twisted.protocols.tls import TLSMemoryBIOFactory

        tls = TLSMemoryBIOFactory(contextFactory, False, factory, clock=self._reactor)
        return self._listen(port, tls, backlog, interface)

    def listenTCP(  # noqa: N802 - Twisted's name
        self, port: int, factory: Factory, backlog: int = 50, interface: str = ""
    ) -> Any:
        # What comes here was wrapped into TLS already.
        return self._listen(port, factory, backlog, interface)


class _Entrance(Factory):
    """Has those who come in built by the newest of several factories.

    :ivar tls: that one.
    """

    noisy = False
    tls: Factory

    def doStart(self) -> None:  # noqa: N802 - Twisted's name
        self.tls.doStart()

    def doStop(self) -> None:  # noqa: N802 - Twisted's name
        self.tls.doStop()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return self.tls.buildProtocol(addr)


def _bare(description: str) -> str:
    while description.startswith("haproxy:"):
        description = description.removeprefix("haproxy:")
    return description


def _stamps(description: str) -> Iterator[_Stamp]:
    """The files of an endpoint, as they are now; those that are not there are left out."""
    kind, *fields = (re.sub(r"\\(.)", r"\1", each) for each in _FIELD.findall(_bare(description)))
    if kind == "ssl":
        named = (field.partition("=") for field in fields)
        paths = [value for key, _, value in named if key in _FILES]
    else:
        paths = [
            os.path.join(directory, name)
            for directory, _, names in os.walk(fields[0])
            for name in names
            if name.endswith(".pem")
        ]
    for path in sorted(paths):
        with suppress(OSError):
            found = os.stat(path)
            yield path, found.st_ino, found.st_size, found.st_mtime_ns
