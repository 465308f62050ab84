"""JetStream's API: streams, consumers, stored messages.

Each method is one request to ``$JS.API.…`` and one JSON reply, and fails with a
:class:`JetStreamApiError` when the reply is a refusal, or as :meth:`NatsClient.request` does.
"""

import secrets
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import Deferred

from faasd_async.nats.client import NatsClient
from faasd_async.nats.jetstream.batch import Batch, get_batch, pull_batch
from faasd_async.nats.jetstream.errors import ApiError, JetStreamError, StreamExists, error_of
from faasd_async.nats.jetstream.model import (
    SECOND_NS,
    ConsumerConfig,
    ConsumerInfo,
    StoredMessage,
    StreamConfig,
    StreamInfo,
)
from faasd_async.nats.jetstream.publishing import Publisher

T = TypeVar("T")

#: A consumer that nobody deletes is gone after so long.
_LEFT_ALONE_SECONDS = 10


class _Envelope(msgspec.Struct, frozen=True):
    error: ApiError | None = None


class _Purged(msgspec.Struct, frozen=True):
    purged: int = 0


class _Page(msgspec.Struct, frozen=True):
    total: int = 0
    limit: int = 0


class _Names(msgspec.Struct, frozen=True):
    total: int = 0
    consumers: tuple[str, ...] | None = ()


class _Found(msgspec.Struct, frozen=True):
    message: StoredMessage


class JetStream(Publisher):
    """JetStream behind a client.

    :param timeout_seconds: for each answer, unless a call says otherwise.
    :ivar client: the connection.
    """

    def __init__(self, client: NatsClient, *, timeout_seconds: float = 5.0) -> None:
        super().__init__(client, timeout_seconds)
        self.client = client

    # -- streams

    def ensure_stream(self, config: StreamConfig) -> "Deferred[StreamInfo]":
        """Create the stream, or change the one of this name to be so."""
        return Deferred.fromCoroutine(self._ensure_stream(config))

    async def _ensure_stream(self, config: StreamConfig) -> StreamInfo:
        try:
            return await self._call(f"STREAM.CREATE.{config.name}", config, StreamInfo)
        except StreamExists:
            return await self._call(f"STREAM.UPDATE.{config.name}", config, StreamInfo)

    def stream_info(self, name: str, *, subjects_filter: str = "") -> "Deferred[StreamInfo]":
        """Return a stream's configuration and state.

        :param subjects_filter: count the messages of the subjects that match, too, in
            ``state.subjects``.
        """
        return Deferred.fromCoroutine(self._stream_info(name, subjects_filter))

    async def _stream_info(self, name: str, subjects_filter: str) -> StreamInfo:
        request: dict[str, str | int] = {}
        if subjects_filter:
            request["subjects_filter"] = subjects_filter
        subjects: dict[str, int] = {}
        while True:
            payload = await self.ask(f"STREAM.INFO.{name}", request)
            info = _decode(payload, StreamInfo)
            found = info.state.subjects or {}
            subjects |= found
            # The server names so many subjects at a time.
            if not found or len(subjects) >= _decode(payload, _Page).total:
                break
            request["offset"] = len(subjects)
        if not subjects_filter:
            return info
        state = msgspec.structs.replace(info.state, subjects=subjects)
        return msgspec.structs.replace(info, state=state)

    def purge_stream(self, name: str, *, filter: str = "", before: int = 0) -> "Deferred[int]":
        """Remove the messages of a stream, or those to matching subjects; return how many.

        :param before: only those before this place in the stream; 0: wherever they are.
        """
        return Deferred.fromCoroutine(self._purge_stream(name, filter, before))

    async def _purge_stream(self, name: str, subject: str, before: int) -> int:
        request: dict[str, str | int] = {}
        if subject:
            request["filter"] = subject
        if before:
            request["seq"] = before
        return (await self._call(f"STREAM.PURGE.{name}", request or None, _Purged)).purged

    # -- stored messages

    def get_last_message(self, stream: str, subject: str) -> "Deferred[StoredMessage]":
        """Return the newest message to ``subject``, which may have wildcards."""
        return Deferred.fromCoroutine(self._get(stream, {"last_by_subj": subject}))

    def get_next_message(
        self, stream: str, subject: str, sequence: int
    ) -> "Deferred[StoredMessage]":
        """Return the first message to ``subject`` at or after a place in the stream."""
        return Deferred.fromCoroutine(self._get(stream, {"seq": sequence, "next_by_subj": subject}))

    def get_messages(
        self, stream: str, subject: str, sequence: int, *, count: int, max_bytes: int
    ) -> "Deferred[Batch]":
        """Return messages to ``subject`` from a place in the stream on, in their order.

        The stream has to ``allow_direct``.

        :param count: how many at most.
        :param max_bytes: no further one once there are so many bytes.
        """
        request = {
            "seq": sequence,
            "next_by_subj": subject,
            "batch": count,
            "max_bytes": max_bytes,
        }
        return get_batch(self._client, stream, request, self._timeout_seconds)

    def get_heads(
        self, stream: str, subject: str, sequence: int, *, count: int
    ) -> "Deferred[list[StoredMessage]]":
        """Return messages to ``subject`` without their payloads, as :meth:`get_messages`.

        A consumer is made for it and deleted, so the stream must not be a work queue.
        """
        return Deferred.fromCoroutine(self._get_heads(stream, subject, sequence, count))

    async def _get_heads(
        self, stream: str, subject: str, sequence: int, count: int
    ) -> list[StoredMessage]:
        consumer = ConsumerConfig(
            name=f"heads-{secrets.token_hex(8)}",
            ack_policy="none",
            deliver_policy="by_start_sequence",
            opt_start_seq=max(sequence, 1),
            filter_subject=subject,
            headers_only=True,
            mem_storage=True,
            num_replicas=1,
            inactive_threshold=_LEFT_ALONE_SECONDS * SECOND_NS,
        )
        await self.ensure_consumer(stream, consumer)
        name = consumer.name
        batch = await pull_batch(self._client, stream, name, count, self._timeout_seconds)
        await self.delete_consumer(stream, name)
        return batch.messages

    async def _get(self, stream: str, request: dict[str, Any]) -> StoredMessage:
        return (await self._call(f"STREAM.MSG.GET.{stream}", request, _Found)).message

    def delete_message(
        self, stream: str, sequence: int, *, secure: bool = False
    ) -> "Deferred[None]":
        """Remove one stored message.

        :param secure: overwrite it on disk.
        """
        request = {"seq": sequence, "no_erase": not secure}
        return Deferred.fromCoroutine(self._do(f"STREAM.MSG.DELETE.{stream}", request))

    # -- consumers

    def ensure_consumer(self, stream: str, config: ConsumerConfig) -> "Deferred[ConsumerInfo]":
        """Create the consumer, or change the one of this name to be so."""
        # The filter stays in the body: a wildcard in the API's subject is refused.
        request = {"stream_name": stream, "config": config}
        return Deferred.fromCoroutine(
            self._call(f"CONSUMER.CREATE.{stream}.{config.name}", request, ConsumerInfo)
        )

    def consumer_info(self, stream: str, name: str) -> "Deferred[ConsumerInfo]":
        """Return a consumer's configuration and state."""
        return Deferred.fromCoroutine(
            self._call(f"CONSUMER.INFO.{stream}.{name}", None, ConsumerInfo)
        )

    def consumer_names(self, stream: str) -> "Deferred[list[str]]":
        """Return the names of all consumers of a stream."""
        return Deferred.fromCoroutine(self._consumer_names(stream))

    async def _consumer_names(self, stream: str) -> list[str]:
        names: list[str] = []
        while True:
            page = await self._call(f"CONSUMER.NAMES.{stream}", {"offset": len(names)}, _Names)
            names.extend(page.consumers or ())
            if not page.consumers or len(names) >= page.total:
                return names

    def delete_consumer(self, stream: str, name: str) -> "Deferred[None]":
        """Delete a consumer; what it had in flight is available to others at once."""
        return Deferred.fromCoroutine(self._do(f"CONSUMER.DELETE.{stream}.{name}", None))

    # -- the request itself

    async def _call(self, subject: str, request: object, reply: type[T]) -> T:
        return _decode(await self.ask(subject, request), reply)

    async def _do(self, subject: str, request: object) -> None:
        await self.ask(subject, request)

    async def ask(self, subject: str, request: object) -> bytes:
        """One request to JetStream's API, and the JSON of its reply."""
        message = await self._client.request(
            b"$JS.API." + subject.encode(),
            b"" if request is None else msgspec.json.encode(request),
            timeout_seconds=self._timeout_seconds,
        )
        check(message.payload)
        return message.payload


def check(reply: bytes) -> None:
    """
    :raises JetStreamApiError: it is a refusal.
    """
    error = _decode(reply, _Envelope).error
    if error is not None:
        raise error_of(error)


def _decode(payload: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(payload, type=kind)
    except msgspec.MsgspecError as error:
        raise JetStreamError(f"no reply of JetStream's API: {payload[:80]!r} ({error})") from error
