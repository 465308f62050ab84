"""Where to listen: Twisted's endpoint strings, looked at without opening anything.

Twisted parses them, and listens on paper: a reactor that only notes what it is asked for. What
``systemd:`` names is known at the start alone, and so only its form is looked at.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Any, NoReturn, cast

from twisted.internet.endpoints import serverFromString
from twisted.internet.error import VerifyError
from twisted.internet.interfaces import IReactorCore
from twisted.internet.protocol import Factory

from faasd_async.settings.mistakes import Refusal, quoted, shown
from faasd_async.settings.places import Place

#: What each kind of endpoint is made of.
FORMS = {
    "tcp": "tcp:PORT[:interface=ADDRESS][:backlog=NUMBER]",
    "tcp6": "tcp6:PORT[:interface=ADDRESS][:backlog=NUMBER]",
    "unix": "unix:PATH[:mode=660][:lockfile=0][:backlog=NUMBER]",
    "ssl": "ssl:PORT:privateKey=FILE[:certKey=FILE][:extraCertChain=FILE][:interface=ADDRESS]",
    "tls": "tls:DIRECTORY[:port=443][:interface=ADDRESS]",
    "systemd": "systemd:domain=INET:name=NAME, or index=NUMBER instead of the name; domain is"
    " INET, INET6 or UNIX",
    "haproxy": "haproxy:ENDPOINT",
}
_KINDS = (
    'an endpoint such as "tcp:8080", "tcp:8080:interface=127.0.0.1" or "unix:/run/faas.sock"'
    f" (kinds: {', '.join(FORMS)})"
)
_SYSTEMD = re.compile(
    r"systemd:(domain=(INET6?|UNIX):(index=[0-9]+|name=[^:=]+)"
    r"|(index=[0-9]+|name=[^:=]+):domain=(INET6?|UNIX)"
    r"|(INET6?|UNIX):([0-9]+|index=[0-9]+|name=[^:=]+))"
)
_STRANGE_WORD = re.compile(r"unexpected keyword argument '(\w+)'")
_MOST_PORT = 2**16 - 1


def endpoint(value: object) -> str:
    """Read a server endpoint string."""
    if not isinstance(value, str) or value.partition(":")[0] not in FORMS or value[-1] == ":":
        raise Refusal(shown(value), _KINDS)
    place_of(value)
    return value


def place_of(description: str) -> Place:
    """What an endpoint string would listen on.

    :raises Refusal: nothing, for something is wrong with it.
    """
    bare = description
    while bare.startswith("haproxy:"):
        bare = bare.removeprefix("haproxy:")
    kind = bare.partition(":")[0]
    if kind not in FORMS:
        raise Refusal(quoted(description), _KINDS)
    if kind == "systemd":
        if not _SYSTEMD.fullmatch(bare):
            raise Refusal(quoted(description), FORMS[kind])
        return Place(bare)
    paper = _Paper()
    try:
        serverFromString(cast(IReactorCore, paper), bare).listen(Factory())
    except TypeError as reason:
        word = _STRANGE_WORD.search(str(reason))
        strange = f", and {kind} has no {word[1]}" if word else ""
        raise Refusal(f"{quoted(description)}{strange}", FORMS[kind]) from None
    except OSError as reason:
        _refuse(description, f"{reason.filename} cannot be read: {reason.strerror}", kind)
    except Exception as reason:
        if _is_of_tls(reason):
            _refuse(description, "its files hold no key and certificate that fit together", kind)
        if isinstance(reason, (ValueError, AttributeError)):
            raise Refusal(quoted(description), FORMS[kind]) from None
        raise
    return paper.checked(description, kind)


def _is_of_tls(reason: Exception) -> bool:
    """Whether it is about a key or a certificate."""
    if "OpenSSL" in sys.modules:  # Without it nobody has looked at one.
        from OpenSSL.crypto import Error as CryptoError
        from OpenSSL.SSL import Error as SslError

        if isinstance(reason, (CryptoError, SslError)):
            return True
    return isinstance(reason, VerifyError)


def _refuse(description: str, why: str, kind: str) -> NoReturn:
    raise Refusal(f"{quoted(description)}, but {why}", FORMS[kind]) from None


class _Paper:
    """A reactor that notes what it is asked to listen on."""

    place = Place("")

    def listenTCP(  # noqa: N802 - Twisted's name
        self, port: int, factory: object, backlog: int = 50, interface: str = ""
    ) -> None:
        self.place = Place(port, interface)

    def listenSSL(  # noqa: N802 - Twisted's name
        self,
        port: int,
        factory: object,
        contextFactory: object,  # noqa: N803 - Twisted's name
        backlog: int = 50,
        interface: str = "",
    ) -> None:
        self.place = Place(port, interface)

    def listenUNIX(self, address: str, factory: object, **options: Any) -> None:  # noqa: N802
        self.place = Place(os.path.abspath(address))

    def checked(self, description: str, kind: str) -> Place:
        port = self.place.port
        if isinstance(port, int) and not 0 <= port <= _MOST_PORT:
            raise Refusal(quoted(description), f"{FORMS[kind]}, PORT from 0 to {_MOST_PORT}")
        return self.place
