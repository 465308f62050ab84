"""How the daemon gets out: the proxy that the environment names, and whose certificates count."""

from __future__ import annotations

import re
from base64 import b64encode
from urllib.parse import unquote, urlsplit

from faasd_async.settings.mistakes import Refusal, quoted
from faasd_async.settings.model import ProxySettings
from faasd_async.settings.secrets import Secret
from faasd_async.settings.values import Reader, path_below

_PRINTABLE = re.compile(r"[!-~]+")
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

_PROXY_ALLOWED = '"http://host:3128", perhaps with "user:password@" before the host'


def proxy(value: object) -> ProxySettings:
    """Read ``HTTPS_PROXY``. No message repeats it: a password may stand in it."""
    text = str(value)
    if "://" not in text:
        text = f"http://{text}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
        parts = urlsplit("")
    if not host or port == 0 or not _PRINTABLE.fullmatch(text) or parts.path not in ("", "/"):
        raise Refusal("no URL of a proxy", _PROXY_ALLOWED)
    if parts.scheme != "http":
        raise Refusal("a proxy that is not spoken to in plain HTTP", _PROXY_ALLOWED)
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = Secret(b"Basic " + b64encode(pair.encode()))
    return ProxySettings(host=host, port=port or 80, authorization=authorization)


def no_proxy(value: object) -> tuple[str, ...]:
    """Read ``NO_PROXY``: names, addresses and ranges, with commas between them."""
    return tuple(each.strip() for each in str(value).split(",") if each.strip())


def certificates(base: str) -> Reader[tuple[bytes, ...]]:
    """Read the certificates in a file, each as PEM."""

    def read(value: object) -> tuple[bytes, ...]:
        path = path_below(base)(value)
        allowed = "a file of certificates in PEM"
        try:
            with open(path, "rb") as file:
                found = _PEM.findall(file.read())
        except OSError as reason:
            raise Refusal(
                f"{quoted(path)}, which cannot be read: {reason.strerror}", allowed
            ) from None
        # It loads TLS.
        from twisted.internet.ssl import Certificate

        try:
            for each in found:
                Certificate.loadPEM(each)
        except Exception:
            # What OpenSSL raises is its own affair.
            found = []
        if not found:
            raise Refusal(f"{quoted(path)}, which holds none that can be used", allowed)
        return tuple(found)

    return read
