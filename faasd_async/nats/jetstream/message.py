"""A message from a consumer, to be settled.

Everything about a delivery stands in the subject that settles it::

    $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time ns>.<pending>
    $JS.ACK.<domain>.<account>.<stream>.<consumer>.<delivered>.….<pending>[.<random>]

Source: nats-io/nats-architecture-and-design, ADR-15.
"""

from faasd_async.nats.client import NatsClient
from faasd_async.nats.jetstream.errors import AlreadySettled, JetStreamError
from faasd_async.nats.wire import Headers, Message

_SHORT, _LONG = 9, 11
"""How many tokens the forms have; the long one may have a further token."""


class JetStreamMessage:
    """One delivery of one message.

    It is settled once, by :meth:`ack`, :meth:`nak` or :meth:`term`; until then it is ours, for
    as long as the consumer's ``ack_wait`` says and :meth:`in_progress` renews. Settling raises
    :class:`~faasd_async.nats.errors.NotSent` when nothing was sent; the message is as unsettled
    then as before, and settling may be tried again.

    :ivar settled: whether it was settled.
    """

    __slots__ = ("_ack_tokens", "_client", "_message", "_word", "settled")

    def __init__(self, client: NatsClient, message: Message) -> None:
        self._client = client
        self._message = message
        self._ack_tokens: list[bytes] | None = None
        self._word = b""
        self.settled = False

    def __repr__(self) -> str:
        return f"<JetStreamMessage {self.subject!r} {self._message.reply!r}>"

    @property
    def subject(self) -> bytes:
        """What it was published to."""
        return self._message.subject

    @property
    def payload(self) -> bytes:
        """The message itself."""
        return self._message.payload

    @property
    def header_block(self) -> bytes:
        """The headers as they travelled, or nothing."""
        return self._message.header_block

    @property
    def headers(self) -> Headers:
        """The headers, read anew each time.

        :raises BadHeader: they do not follow the grammar.
        """
        return self._message.headers

    # -- what the subject of the acknowledgement tells

    @property
    def stream(self) -> str:
        """The stream's name."""
        return self._tokens()[0].decode()

    @property
    def consumer(self) -> str:
        """The consumer's name."""
        return self._tokens()[1].decode()

    @property
    def delivered(self) -> int:
        """How often the consumer has delivered it: 1 at first."""
        return int(self._tokens()[2])

    @property
    def stream_sequence(self) -> int:
        """Its place in the stream."""
        return int(self._tokens()[3])

    @property
    def timestamp_ns(self) -> int:
        """When it was stored, in nanoseconds since 1970."""
        return int(self._tokens()[5])

    @property
    def pending(self) -> int:
        """How many more messages the consumer had to hand out at that time."""
        return int(self._tokens()[6])

    def _tokens(self) -> list[bytes]:
        if self._ack_tokens is None:
            tokens = self._message.reply.split(b".")
            if len(tokens) == _SHORT:
                self._ack_tokens = tokens[2:]
            elif len(tokens) >= _LONG:
                self._ack_tokens = tokens[4:]
            else:
                raise JetStreamError(f"no subject of an acknowledgement: {self._message.reply!r}")
        return self._ack_tokens

    def forget_content(self) -> None:
        """Let go of payload and headers; it can be settled as before."""
        self._message = self._message._replace(payload=b"", header_block=b"")

    # -- settling

    def ack(self) -> None:
        """It is done.

        :raises AlreadySettled: it was settled before.
        :raises NotSent: the acknowledgement did not leave.
        """
        self._settle(b"+ACK")

    def nak(self, delay_seconds: float = 0.0) -> None:
        """Deliver it again, at once or after a while; raises as :meth:`ack` does."""
        if delay_seconds > 0:
            self._settle(b'-NAK {"delay": %d}' % round(delay_seconds * 1e9))
        else:
            self._settle(b"-NAK")

    def term(self, reason: str = "") -> None:
        """Never deliver it again; raises as :meth:`ack` does.

        :param reason: goes into the server's advisory.
        """
        self._settle(b"+TERM %b" % reason.encode() if reason else b"+TERM")

    def in_progress(self) -> None:
        """Begin the ``ack_wait`` anew; raises as :meth:`ack` does."""
        if self.settled:
            raise AlreadySettled(f"{self!r} was settled already")
        self._client.publish(self._message.reply, b"+WPI")

    def _settle(self, word: bytes) -> None:
        if self.settled:
            raise AlreadySettled(f"{self!r} was settled already")
        self._client.publish(self._message.reply, word)
        self._word = word
        self.settled = True

    def repeat(self) -> None:
        """Say once more how it was settled: its connection ended, and may have taken that along.

        :raises NotSent: that did not leave either.
        """
        if self.settled:
            self._client.publish(self._message.reply, self._word)
