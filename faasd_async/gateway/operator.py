"""Who may give orders, as long as there is no password: somebody at this very machine.

A loopback peer alone is not enough. A reverse proxy on this machine brings strangers in from
loopback too, and says so in ``Forwarded`` or ``X-Forwarded-*``; a browser on this machine sends
what any page it shows tells it to, and names that page in ``Origin``, or asks under a name of the
page's choosing in ``Host``.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from faasd_async.call.headers import Headers, first
from faasd_async.gateway.refusal import Refusal

_OWN_NAMES = frozenset(("localhost", "ip6-localhost"))


def admit(peer_host: str | None, headers: Headers) -> None:
    """Let an operator in.

    :param peer_host: the address of the client; ``None`` if it came over a Unix socket, which
        has permissions of its own.
    :raises Refusal: 403, it is not sure to be one.
    """
    for name, _ in headers:
        if name.lower() == b"forwarded" or name.lower().startswith(b"x-forwarded-"):
            raise Refusal(403, "/system answers nobody who comes through a proxy")
    origin = first(headers, b"origin")
    if origin is not None and not _names_this_machine(origin.decode("latin-1")):
        raise Refusal(403, "/system answers no pages of other hosts")
    if peer_host is None:
        return
    if not _is_loopback(peer_host):
        raise Refusal(403, "/system answers only on this machine, from a loopback address")
    host = first(headers, b"host")
    if host is not None and not _names_this_machine("//" + host.decode("latin-1")):
        raise Refusal(403, "/system answers only under a loopback address or localhost")


def _names_this_machine(url: str) -> bool:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return host is not None and (host in _OWN_NAMES or _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
