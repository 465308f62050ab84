"""The NATS client protocol as bytes and values, without I/O.

Nothing in here knows a socket, a clock or Twisted: :mod:`.parser` turns the server's bytes into
events, :mod:`.commands` turns the client's intentions into bytes, :mod:`.headers` and :mod:`.info`
read and write what travels inside. Source: https://docs.nats.io/reference/nats-protocol
"""

from faasd_async.nats.wire.errors import BadHeader, BadSubject, NatsError, ProtocolError
from faasd_async.nats.wire.events import Event, Message, ServerErr, Signal
from faasd_async.nats.wire.headers import HeaderPairs, Headers, decode_headers, encode_headers
from faasd_async.nats.wire.info import ServerInfo
from faasd_async.nats.wire.parser import Parser

__all__ = [
    "BadHeader",
    "BadSubject",
    "Event",
    "HeaderPairs",
    "Headers",
    "Message",
    "NatsError",
    "Parser",
    "ProtocolError",
    "ServerErr",
    "ServerInfo",
    "Signal",
    "decode_headers",
    "encode_headers",
]
