"""Where a server is and, maybe, whom to log in as."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from faasd_async.nats.errors import BadServerAddress

DEFAULT_PORT = 4222


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """One NATS server.

    :ivar user: with ``password``, preferred over the client's own credentials when not empty.
    :ivar token: the same for a token.
    :ivar tls: never talk to it in the clear.
    """

    host: str
    port: int = DEFAULT_PORT
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    tls: bool = False

    @classmethod
    def parse(cls, url: str) -> "ServerAddress":
        """Read ``nats://[user[:password]@]host[:port]``, or ``tls://…``; a lone user is a token.

        :raises BadServerAddress: it is not of that form.
        """
        where = url.rpartition("@")[2]
        try:
            parts = urlsplit(url)
            port = parts.port if parts.port is not None else DEFAULT_PORT
        except ValueError as error:
            raise BadServerAddress(f"{where!r} is no NATS URL: {error}") from error
        if parts.scheme not in ("nats", "tls") or not parts.hostname:
            raise BadServerAddress(f"{where!r} is no NATS URL: expected nats://host:port")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise BadServerAddress(f"{where!r}: a NATS URL ends after the port")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        tls = parts.scheme == "tls"
        if parts.password is None:
            return cls(host=parts.hostname, port=port, token=user, tls=tls)
        return cls(host=parts.hostname, port=port, user=user, password=password, tls=tls)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


ServerSource: TypeAlias = Sequence[ServerAddress] | Callable[[], Sequence[ServerAddress]]
"""Servers to try in turn; a callable is asked anew for every attempt."""
