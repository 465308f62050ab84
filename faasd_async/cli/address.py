"""Where a daemon is, as it is typed: an URL without more in it than a place."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import urlsplit

import click

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9.])?")

#: What needs no quoting.
_PLAIN = re.compile("[!-~]+")

_ALLOWED = "http://HOST:PORT or https://HOST:PORT, and perhaps a path"


def daemon_url(text: str, name: str = "--url") -> str:
    """
    :param name: where it stands.
    :return: the URL, without a slash at its end.
    :raises click.UsageError: it is none, or has more in it.
    """
    try:
        parts = urlsplit(text)
        if "@" in parts.netloc:
            # Not shown: it may hold a password.
            raise click.UsageError(f"{name}: found a user in it; give that with --credentials")
        host, port = parts.hostname or "", parts.port
        well = parts.scheme in ("http", "https") and port != 0 and _is_host(host)
    except ValueError:
        well = False
    if not well or parts.query or parts.fragment or not _PLAIN.fullmatch(text):
        raise click.UsageError(f"{name}: found {text!r}; allowed: {_ALLOWED}")
    return text.rstrip("/")


def _is_host(host: str) -> bool:
    if ":" not in host:
        return _HOST.fullmatch(host) is not None
    try:
        IPv6Address(host)
    except AddressValueError:
        return False
    return True
