"""Publishing into streams: a message, and JetStream's word that it is stored."""

from collections.abc import Callable
from typing import TypeAlias

import msgspec
from twisted.internet.defer import Deferred

from faasd_async.nats.client import NatsClient
from faasd_async.nats.errors import NatsError, NoResponders
from faasd_async.nats.futures import new_future, reject, resolve
from faasd_async.nats.jetstream.errors import ApiError, JetStreamError, NoStream, error_of
from faasd_async.nats.jetstream.model import PubAck
from faasd_async.nats.wire import HeaderPairs, Message

OnAck: TypeAlias = Callable[[PubAck | NatsError], None]


class _Refusal(msgspec.Struct, frozen=True):
    error: ApiError


_decode_ack = msgspec.json.Decoder(PubAck).decode
_decode_refusal = msgspec.json.Decoder(_Refusal).decode


def read_ack(reply: Message | NatsError) -> PubAck | NatsError:
    """Return what a reply to a publish says."""
    if isinstance(reply, NatsError):
        return NoStream(str(reply)) if isinstance(reply, NoResponders) else reply
    payload = reply.payload
    try:
        if payload.startswith(b'{"error":'):
            return error_of(_decode_refusal(payload).error)
        return _decode_ack(payload)
    except msgspec.MsgspecError as error:
        return JetStreamError(f"no acknowledgement of JetStream's: {payload[:80]!r} ({error})")


class Publisher:
    """Publishes into whatever stream listens to a subject."""

    def __init__(self, client: NatsClient, timeout_seconds: float) -> None:
        self._client = client
        self._timeout_seconds = timeout_seconds

    def publish(
        self,
        subject: bytes,
        payload: bytes,
        *,
        headers: HeaderPairs = (),
        expected_last_subject_sequence: int | None = None,
        message_id: bytes = b"",
        timeout_seconds: float | None = None,
    ) -> "Deferred[PubAck]":
        """Store a message; fires when the stream has it.

        :param expected_last_subject_sequence: store it only after this message of its subject; 0
            for only as the subject's first.
        :param message_id: store it once within the stream's ``duplicate_window``.

        Fails with :class:`NoStream`, :class:`WrongLastSequence`, :class:`StreamFull` and others
        of :class:`JetStreamApiError`, and as :meth:`NatsClient.request` does.
        """
        pairs = list(headers)
        if expected_last_subject_sequence is not None:
            expected = b"%d" % expected_last_subject_sequence
            pairs.append((b"Nats-Expected-Last-Subject-Sequence", expected))
        if message_id:
            pairs.append((b"Nats-Msg-Id", message_id))
        acknowledged: Deferred[PubAck] = new_future()

        def on_reply(reply: Message | NatsError) -> None:
            ack = read_ack(reply)
            if isinstance(ack, NatsError):
                reject(acknowledged, ack)
            else:
                resolve(acknowledged, ack)

        try:
            self._client.request_then(
                subject,
                payload,
                on_reply,
                headers=pairs,
                timeout_seconds=self._timeout_seconds
                if timeout_seconds is None
                else timeout_seconds,
            )
        except NatsError as error:
            reject(acknowledged, error)
        return acknowledged

    def publish_then(
        self,
        subject: bytes,
        payload: bytes,
        header_block: bytes,
        on_ack: OnAck,
        *,
        timeout_seconds: float | None = None,
    ) -> None:
        """Store a message and call ``on_ack``, once, with the acknowledgement or an error.

        Raises what :meth:`NatsClient.publish` raises; then ``on_ack`` is not called.
        """

        def on_reply(reply: Message | NatsError) -> None:
            on_ack(read_ack(reply))

        self._client.request_then(
            subject,
            payload,
            on_reply,
            headers=header_block,
            timeout_seconds=self._timeout_seconds if timeout_seconds is None else timeout_seconds,
        )
