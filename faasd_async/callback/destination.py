"""Where a callback may go.

Edge callbacks live on private networks, so those are allowed unless the deployment says
otherwise. Link-local addresses, where clouds keep their metadata, never are; and of the daemon's
own listeners only the two function routes.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection
from ipaddress import IPv4Address, IPv6Address, ip_address

from faasd_async.call.callback_url import CallbackUrl
from faasd_async.call.route import cut

#: Metadata services that do not live on a link-local address, and their names.
_METADATA_ADDRESSES = frozenset(map(ip_address, ("100.100.100.200", "fd00:ec2::254")))
_METADATA_NAMES = frozenset(("metadata", "metadata.google.internal", "instance-data"))

Address = IPv4Address | IPv6Address


class DestinationPolicy:
    """Decides by what stands in the URL.

    :param private_allowed: whether private and loopback addresses may be called.
    :param own_ports: the ports this daemon listens on, asked each time.
    """

    def __init__(self, private_allowed: bool, own_ports: Callable[[], Collection[int]]) -> None:
        self._private_allowed = private_allowed
        self._own_ports = own_ports

    def refuse(self, url: CallbackUrl) -> str | None:
        """Why a callback may not go there, or ``None``."""
        host = url.host.rstrip(".").lower()
        address = literal_address(host)
        if host in _METADATA_NAMES or (address is not None and _is_metadata(address)):
            return "link-local and metadata addresses cannot be called back"
        if self.is_own(url):
            return None if cut(url.path.encode()) else "of this daemon only functions can be called"
        if not self._private_allowed and _is_private(host, address):
            return "private and loopback addresses cannot be called back"
        return None

    def is_own(self, url: CallbackUrl) -> bool:
        """Whether a URL leads to a listener of this daemon."""
        host = url.host.rstrip(".").lower()
        return url.port in self._own_ports() and _is_here(host, literal_address(host))


def literal_address(host: str) -> Address | None:
    """The address that *host* is, in any notation the resolver takes, mapped ones unwrapped."""
    try:
        address: Address = ip_address(host.partition("%")[0])
    except ValueError:
        try:
            # "0x7f.1", "2130706433", "0177.0.0.1": whatever connect() would understand.
            address = IPv4Address(socket.inet_aton(host))
        except (OSError, UnicodeError):
            return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _is_metadata(address: Address) -> bool:
    return address.is_link_local or address in _METADATA_ADDRESSES


def _is_private(host: str, address: Address | None) -> bool:
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_private or address.is_loopback or address.is_unspecified


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
