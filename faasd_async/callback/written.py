"""A callback as a request: the same, whichever client sends it."""

from __future__ import annotations

from base64 import b64encode

from faasd_async import __version__
from faasd_async.call.request import CallbackRequest

USER_AGENT = (b"User-Agent", f"faasd-async/{__version__}".encode())

#: What an endpoint may say to a callback before it is cut short.
LONGEST_ANSWER_BYTES = 64 * 1024


def fields_of(callback: CallbackRequest) -> list[tuple[bytes, bytes]]:
    """The header fields, without ``Host`` and those that frame the body."""
    fields = [*callback.headers, USER_AGENT]
    url = callback.url
    if url.username is not None:
        pair = f"{url.username}:{url.password or ''}".encode()
        fields = [field for field in fields if field[0].lower() != b"authorization"]
        fields.append((b"Authorization", b"Basic " + b64encode(pair)))
    return fields
