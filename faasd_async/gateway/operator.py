"""Who may give orders: who knows the password, or, as long as there is none, somebody at this very
machine.

Without a password a loopback peer alone is not enough. A reverse proxy on this machine brings
strangers in from loopback too, and says so in ``Forwarded`` or ``X-Forwarded-*``; a browser on this
machine sends what any page it shows tells it to, and names that page in ``Origin``, or asks under a
name of the page's choosing in ``Host``. With a password a browser may know it, and send it along
with whatever a page of somebody else's has it send.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from faasd_async.call.headers import Headers, first
from faasd_async.gateway.refusal import Fields, Refusal
from faasd_async.settings.credentials import Credentials

_OWN_NAMES = frozenset(("localhost", "ip6-localhost"))

#: The page itself, and what somebody has typed into a browser.
_OWN_SITES = (b"same-origin", b"none")

#: As OpenFaaS asks.
_ASKS_FOR_PASSWORD: Fields = ((b"WWW-Authenticate", b'Basic realm="Restricted"'),)


def invalid_credentials() -> Refusal:
    return Refusal(401, "invalid credentials", _ASKS_FOR_PASSWORD)


class Operators:
    """Tells operators from others.

    :param credentials: what they know; ``None``: there is no password.
    """

    def __init__(self, credentials: Credentials | None = None) -> None:
        self._credentials = credentials

    def admit(self, peer_host: str | None, headers: Headers, *, trusted: bool = True) -> None:
        """Let an operator in; see :func:`admit`.

        :param trusted: whether the client is believed where the request came from.
        :raises Refusal: 401, the password is not known; 403, it is not sure to be one.
        """
        if self._credentials is None:
            admit(peer_host, headers)
            return
        if not self.say(headers):
            raise invalid_credentials()
        origin = first(headers, b"origin")
        if origin is not None and not _is_origin_of(origin, headers, trusted):
            raise Refusal(403, "/system answers no pages of other hosts")

    def say(self, headers: Headers) -> bool:
        """Whether a request says the password."""
        said = first(headers, b"authorization")
        return said is not None and self._credentials is not None and self._credentials.match(said)

    def withhold(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """What may go on to a function: the password is nobody's business."""
        credentials = self._credentials
        if credentials is None:
            return headers
        return [
            (name, value)
            for name, value in headers
            if name.lower() != b"authorization" or not credentials.match(value)
        ]


def refuse_foreign_pages(headers: Headers) -> None:
    """Let no page of another origin give orders, or read answers, by way of an operator's browser.

    Browsers of today say so themselves in a field that no page can write; ``Origin`` is not in all
    of their requests. Programs do not send it.

    :raises Refusal: 403, it is one.
    """
    site = first(headers, b"sec-fetch-site")
    if site is not None and site not in _OWN_SITES:
        raise Refusal(403, "/system answers no pages of other hosts")


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


def _is_origin_of(origin: bytes, headers: Headers, trusted: bool) -> bool:
    """Whether a page came from where its request goes, perhaps by way of a proxy."""
    host = origin.partition(b"://")[2].lower()
    forwarded = first(headers, b"x-forwarded-host") if trusted else None
    here = (first(headers, b"host"), forwarded)
    return host in [each.strip().lower() for each in here if each]


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
