"""A stream as a whole: taken as it is while it goes on, and put back elsewhere.

The server sends it in pieces, no more at a time than were acknowledged, and takes it back likewise.
What is in them is the server's own business.
Source: ADR 8 of https://github.com/nats-io/nats-architecture-and-design
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from faasd_async.nats.client import NatsClient
from faasd_async.nats.errors import ConnectionDropped, NatsError, RequestTimedOut
from faasd_async.nats.jetstream.context import JetStream, check
from faasd_async.nats.jetstream.errors import JetStreamError
from faasd_async.nats.requests import new_inbox
from faasd_async.nats.wire import Message

#: How large a piece is.
PIECE_BYTES = 256 * 1024

#: A server that says nothing for so long says nothing more.
_PATIENCE_SECONDS = 60.0

_NO_CONTENT = 204


class _Head(msgspec.Struct, frozen=True):
    config: msgspec.Raw
    state: msgspec.Raw


class _Place(msgspec.Struct, frozen=True):
    deliver_subject: str


class Snapshots:
    """Takes snapshots of streams, without their consumers, and restores them.

    :param jetstream: whose.
    """

    def __init__(self, jetstream: JetStream) -> None:
        self._jetstream = jetstream
        self._client = jetstream.client

    async def take(
        self, stream: str, head: Callable[[bytes], object], piece: Callable[[bytes], object]
    ) -> None:
        """Take one.

        :param head: is given the stream's configuration and state, as JSON, first.
        :param piece: is given each piece, and may raise.
        :raises StreamNotFound: there is no such stream.
        :raises NatsError: it is not whole.
        """
        taking = _Taking(self._client, piece)
        try:
            request = {
                "deliver_subject": taking.inbox.decode(),
                "no_consumers": True,
                "chunk_size": PIECE_BYTES,
            }
            reply = await self._jetstream.ask(f"STREAM.SNAPSHOT.{stream}", request)
            head(msgspec.json.encode(msgspec.json.decode(reply, type=_Head)))
            taking.go_on()
            await taking.done
        finally:
            taking.stop()

    async def begin(self, stream: str, head: bytes) -> bytes:
        """Begin to restore one, which must not be there yet.

        :param head: as :meth:`take` has told it.
        :return: where :meth:`put` puts its pieces.
        :raises NatsError: it is refused.
        """
        known = msgspec.json.decode(head, type=_Head)
        reply = await self._jetstream.ask(f"STREAM.RESTORE.{stream}", known)
        return msgspec.json.decode(reply, type=_Place).deliver_subject.encode()

    async def put(self, place: bytes, piece: bytes) -> None:
        """Put the next piece; an empty one ends it.

        :raises NatsError: it is refused.
        """
        reply = await self._client.request(place, piece, timeout_seconds=_PATIENCE_SECONDS)
        check(reply.payload or b"{}")


class _Taking:
    """One snapshot that comes.

    :ivar done: fires when all of it has come.
    """

    def __init__(self, client: NatsClient, piece: Callable[[bytes], object]) -> None:
        self.inbox = new_inbox()
        self.done: Deferred[None] = Deferred()
        self._client = client
        self._piece = piece
        # The first may overtake the answer to our request.
        self._early: list[Message] | None = []
        self._subscription = client.subscribe(self.inbox, self._received)
        self._forget = client.on_disconnected(self._dropped)
        self._patience: Any = client.clock.callLater(_PATIENCE_SECONDS, self._silent)

    def go_on(self) -> None:
        """Pieces may come now; those that came already were not acknowledged, and are few."""
        early, self._early = self._early or [], None
        for message in early:
            self._received(message)

    def stop(self) -> None:
        self._forget()
        self._subscription.unsubscribe()
        if self._patience.active():
            self._patience.cancel()

    def _received(self, message: Message) -> None:
        if self._early is not None:
            self._early.append(message)
            return
        if self.done.called:
            return
        self._patience.reset(_PATIENCE_SECONDS)
        if not message.payload:
            self._ended(message)
            return
        try:
            self._piece(message.payload)
            if message.reply:
                self._client.publish(message.reply, b"")
        except Exception as reason:
            self.done.errback(reason)

    def _ended(self, message: Message) -> None:
        headers = message.headers
        if headers.status in (None, _NO_CONTENT):
            self.done.callback(None)
        else:
            why = f"{headers.status} {headers.description}".strip()
            self.done.errback(JetStreamError(f"the snapshot broke off: {why}"))

    def _dropped(self) -> None:
        self._fail(ConnectionDropped("the connection ended within a snapshot"))

    def _silent(self) -> None:
        self._fail(RequestTimedOut("the server sends no more of a snapshot"))

    def _fail(self, reason: NatsError) -> None:
        if not self.done.called:
            self.done.errback(reason)
