"""Writing to a socket at once what it takes.

Twisted's transports wait until the reactor says that the socket would take something, which it
nearly always would: that costs two calls of the kernel more, and a turn of the reactor.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.tcp import Connection

#: More than a socket takes at once is left to the reactor: the rest would only be copied.
_MOST_BYTES = 256 * 1024


def is_plain(transport: object) -> bool:
    """Whether nothing stands between a transport and its socket."""
    return isinstance(transport, Connection) and not transport.TLS


def write_at_once(transport: Any, data: bytes) -> None:
    """Write to a transport that is plain; what the socket does not take now it takes later.

    If the connection is gone the reactor is about to say so.
    """
    if len(data) <= _MOST_BYTES and not transport.dataBuffer and not transport._tempDataBuffer:
        sent = transport.writeSomeData(data)
        if not isinstance(sent, int):
            return
        data = data[sent:]
    if data:
        transport.write(data)
