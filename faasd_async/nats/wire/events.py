"""What the server can say, one value a frame."""

from enum import Enum
from typing import NamedTuple, TypeAlias

from faasd_async.nats.wire.headers import Headers, decode_headers
from faasd_async.nats.wire.info import ServerInfo


class Message(NamedTuple):
    """MSG or HMSG: a message for one of our subscriptions.

    :ivar subject: what it was published to, which need not be what was subscribed to.
    :ivar sid: the subscription's number, as we chose it.
    :ivar reply: where an answer goes, or nothing.
    :ivar header_block: the headers as they travelled, or nothing.
    """

    subject: bytes
    sid: bytes
    reply: bytes
    header_block: bytes
    payload: bytes

    @property
    def headers(self) -> Headers:
        """The header block, read anew each time.

        :raises BadHeader: the block does not follow the grammar.
        """
        return decode_headers(self.header_block)


class ServerErr(NamedTuple):
    """-ERR: the server's complaint, without the quotes."""

    text: str


class Signal(Enum):
    """The frames that carry nothing."""

    PING = b"PING"
    PONG = b"PONG"
    OK = b"+OK"


Event: TypeAlias = Message | ServerInfo | ServerErr | Signal
