"""Where a callback may go.

Edge callbacks live on private networks, so those are allowed unless the deployment says
otherwise. Link-local addresses, where clouds keep their metadata, never are; and of the daemon's
own listeners only the two function routes.

It is asked twice: of a URL, when it is accepted, and of an address, when a connection is about to
be made there. What a name meant the first time is no promise for the second.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from faasd_async.call.callback_url import CallbackUrl
from faasd_async.call.route import FunctionRoute, cut

#: Metadata services that do not live on a link-local address, and their names.
_METADATA_ADDRESSES = frozenset(
    map(ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"))
)
_METADATA_NAMES = frozenset(("metadata", "metadata.google.internal", "instance-data"))

#: An IPv4 address stands at the end of these: of translators, and of none that is in use any more.
_CARRIES_IPV4 = tuple(map(IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/96", "::/96")))

_NO_METADATA = "link-local and metadata addresses cannot be called back"
_NO_PRIVATE = "private and loopback addresses cannot be called back"
_NO_ROUTE = "of this daemon only functions can be called"

#: OpenFaaS' gateway listens on the one, and a URL without a port means the other.
_ALIAS_PORTS = frozenset((80, 8080))

Address = IPv4Address | IPv6Address

#: Most callbacks go where others went a moment ago.
_REMEMBERED = 256


class DestinationPolicy:
    """Decides by what stands in the URL, and by the address that it came to.

    :param private_allowed: whether private and loopback addresses may be called.
    :param own_ports: the ports this daemon listens on, asked each time.
    :param aliases: names that mean this daemon, whatever a name server says.
    """

    def __init__(
        self,
        private_allowed: bool,
        own_ports: Callable[[], Collection[int]],
        aliases: Collection[str] = (),
    ) -> None:
        self._private_allowed = private_allowed
        self._own_ports = own_ports
        self._aliases = frozenset(aliases)

    def refuse(self, url: CallbackUrl) -> str | None:
        """Why a callback may not go there, or ``None``."""
        host = url.host.rstrip(".").lower()
        address = literal_address(host)
        if host in _METADATA_NAMES or (address is not None and _is_metadata(address)):
            return _NO_METADATA
        if self.is_own(url):
            return None if cut(url.path.encode()) else _NO_ROUTE
        if not self._private_allowed and _is_private(host, address):
            return _NO_PRIVATE
        return None

    def refuse_address(self, written: str, port: int, calls_function: bool) -> str | None:
        """Why no connection may be made there, or ``None``.

        :param written: an address, as a look-up brings it.
        :param calls_function: whether what will be requested there looks like a function's route.
        """
        address = literal_address(written)
        if address is None or _is_metadata(address):
            return _NO_METADATA
        if port in self._own_ports() and _is_here(written, address):
            return None if calls_function else _NO_ROUTE
        if not self._private_allowed and _is_private(written, address):
            return _NO_PRIVATE
        return None

    def own_route(self, url: CallbackUrl) -> FunctionRoute | None:
        """The function of this daemon that a URL leads to, or ``None``: there may be none."""
        return cut(url.path.encode("ascii")) if self.is_own(url) else None

    def is_own(self, url: CallbackUrl) -> bool:
        """Whether a URL leads to a listener of this daemon."""
        host = url.host.rstrip(".").lower()
        return self.is_alias(url) or (
            url.port in self._own_ports() and _is_here(host, literal_address(host))
        )

    def is_alias(self, url: CallbackUrl) -> bool:
        """Whether a URL calls this daemon by a name that nobody but its callers need know."""
        return (
            url.scheme == "http"
            and url.host.rstrip(".").lower() in self._aliases
            and (url.port in _ALIAS_PORTS or url.port in self._own_ports())
        )


@lru_cache(_REMEMBERED)
def written_address(host: str) -> Address | None:
    """The address that *host* is, in any notation the resolver takes; ``None``: it is a name."""
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        try:
            # "0x7f.1", "2130706433", "0177.0.0.1": whatever connect() would understand.
            return IPv4Address(socket.inet_aton(host))
        except (OSError, UnicodeError):
            return None


def literal_address(host: str) -> Address | None:
    """As :func:`written_address`; one of IPv4 that an IPv6 address stands for is taken out."""
    address = written_address(host)
    return _unwrapped(address) if isinstance(address, IPv6Address) else address


def _unwrapped(address: IPv6Address) -> Address:
    inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
    if inner is None and int(address) > 1 and any(address in each for each in _CARRIES_IPV4):
        inner = IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address


def _is_metadata(address: Address) -> bool:
    return address.is_link_local or address in _METADATA_ADDRESSES


def _is_private(host: str, address: Address | None) -> bool:
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    return not address.is_global or address.is_multicast


def _is_here(host: str, address: Address | None) -> bool:
    if address is None:
        return host == "localhost" or host.endswith(".localhost") or host == socket.gethostname()
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            # Only an address of this machine can be bound to.
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True
