"""Who is at the other end of a connection: how many of one address, and whom to believe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network

from twisted.internet.interfaces import IAddress
from twisted.logger import Logger

from faasd_async.call.headers import Headers

#: The crowd is told of in the log so often at most.
_TELL_AGAIN_SECONDS = 60.0

_ALSO_FORWARDED = frozenset((b"forwarded", b"x-real-ip"))


class Trusted:
    """Proxies whose word counts for where a request came from.

    :param networks: addresses and ranges; ``unix`` is whoever comes over a Unix socket.
    """

    def __init__(self, networks: Sequence[str]) -> None:
        self._unix = "unix" in networks
        self._networks = [ip_network(each) for each in networks if each != "unix"]

    def holds(self, host: str | None) -> bool:
        """:param host: a client's address; ``None``: it came over a Unix socket."""
        if host is None:
            return self._unix
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in each for each in self._networks)


def without_forwarded(fields: Headers) -> list[tuple[bytes, bytes]]:
    """The fields of a request but for those that tell where it came from."""
    return [field for field in fields if not _is_forwarded(field[0].lower())]


def _is_forwarded(name: bytes) -> bool:
    return name.startswith(b"x-forwarded-") or name in _ALSO_FORWARDED


class Crowd:
    """Counts connections, so that nobody takes all of them.

    :param most: how many one address may have; 0: as many as it likes.
    :param trusted: who stands for many, and is not counted, as loopback is not.
    :param now_seconds: a clock.
    """

    _log = Logger()

    def __init__(
        self, most: int, trusted: Trusted | None, now_seconds: Callable[[], float]
    ) -> None:
        self._most = most
        self._trusted = trusted
        self._now_seconds = now_seconds
        self._present: dict[str, int] = {}
        self._tell_at = 0.0

    def enters(self, host: str | None) -> bool:
        """Count a connection, if there may be one more; whoever enters has to leave."""
        if not self._counts(host):
            return True
        assert host is not None
        present = self._present.get(host, 0)
        if present >= self._most:
            self._tell(host)
            return False
        self._present[host] = present + 1
        return True

    def leaves(self, host: str | None) -> None:
        """A connection that entered is over."""
        if host in self._present:
            self._present[host] -= 1
            if not self._present[host]:
                del self._present[host]

    def _counts(self, host: str | None) -> bool:
        if host is None or not self._most or (self._trusted and self._trusted.holds(host)):
            return False
        return not _LOOPBACK.holds(host)

    def _tell(self, host: str) -> None:
        now = self._now_seconds()
        if now >= self._tell_at:
            self._tell_at = now + _TELL_AGAIN_SECONDS
            self._log.warn(
                "{host} has {most} connections already: no more are taken from it"
                " ([gateway] max_connections_per_address)",
                host=host,
                most=self._most,
            )


_LOOPBACK = Trusted(("127.0.0.0/8", "::1"))


def peer_name(address: IAddress) -> bytes:
    """A client's address and port, as ``X-Forwarded-For`` has it."""
    host, port = host_of(address), getattr(address, "port", None)
    if host is None:
        return b"unix"
    return (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode()


def host_of(address: IAddress) -> str | None:
    """A client's address; ``None`` on a Unix socket.

    One of IPv4 is told as such, whether it came to a listener of IPv4 or to one of both.
    """
    host: str | None = getattr(address, "host", None)
    if host is not None and "." in host:
        return host.removeprefix("::ffff:")
    return host
