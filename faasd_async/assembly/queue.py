"""The queue that was chosen, and how durable what is put into it is."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from functools import partial

from twisted.internet.defer import Deferred, succeed

from faasd_async.assembly.clients import Clients
from faasd_async.assembly.shared import Shared
from faasd_async.assembly.store import EMBEDDED_PAYLOAD_BYTES, Store
from faasd_async.callback.address import why_undeliverable
from faasd_async.queue.interface import Queue
from faasd_async.queue.jetstream import JetStreamQueue
from faasd_async.queue.jetstream.durability import Acknowledged, Barrier, Durability, SomebodyElses
from faasd_async.queue.jetstream.layout import Layout
from faasd_async.queue.jetstream.streams import StoreDisk
from faasd_async.settings import Settings

#: What any nats-server takes in one message unless it is told otherwise.
_USUAL_PAYLOAD_BYTES = 2**20


def make_durability(shared: Shared, store: Store) -> Durability:
    queue, nats = shared.settings.queue, shared.settings.nats
    if queue.backend == "memory" or queue.durability == "process":
        return Acknowledged(store.ground)
    if store.broker is None:
        return SomebodyElses(nats.replicas, store.ground)
    return Barrier(
        shared.reactor, store.directory, ground=store.ground, flushed=shared.figures.flushed
    )


def make_queue(shared: Shared, store: Store, clients: Clients, durability: Durability) -> Queue:
    settings, broker = shared.settings, store.broker
    if settings.queue.backend == "memory":
        from faasd_async.queue.memory import MemoryQueue

        return MemoryQueue(shared.reactor, settings.worker.ack_wait_seconds)
    make: Callable[..., JetStreamQueue] = JetStreamQueue
    if settings.queue.backend == "nats-streaming":
        make = _streaming_queue(shared, clients)
    return make(
        shared.reactor,
        clients.of_queue(broker),
        _layout(settings),
        durability,
        static=shared.static,
        alone=broker is not None,
        largest_payload_bytes=EMBEDDED_PAYLOAD_BYTES if broker else _USUAL_PAYLOAD_BYTES,
        now_seconds=time.time,
        disk=StoreDisk(store.disk.free_bytes, settings.queue.min_free_bytes) if broker else None,
        when_believed=lambda least: store.wall_clock(lambda: least).when_believed(),
    )


def _layout(settings: Settings) -> Layout:
    queue = settings.queue
    return Layout(
        calls_bytes=queue.max_bytes,
        callbacks_bytes=queue.max_bytes,
        later_bytes=queue.max_bytes,
        outcomes_bytes=queue.results_max_bytes,
        dead_bytes=queue.dead_letters_max_bytes,
        waiting_messages=queue.max_messages,
        outcomes_messages=queue.results_max_messages,
        dead_messages=queue.dead_letters_max_messages,
        replicas=settings.nats.replicas,
        ack_wait_seconds=settings.worker.ack_wait_seconds,
    )


def _streaming_queue(shared: Shared, clients: Clients) -> Callable[..., JetStreamQueue]:
    """A JetStream queue with NATS Streaming before it, but for JetStream's part of it."""
    # Not everybody has protobuf; whether it is there was looked for with the settings.
    from faasd_async.nats.stan import StanClient
    from faasd_async.queue.streaming import Channels, StreamingQueue, client_id

    settings, streaming, policy = shared.settings, shared.settings.nats.streaming, shared.policy
    stan = StanClient(
        shared.reactor,
        clients.of_streaming(),
        streaming.cluster_id,
        streaming.client_id or client_id(socket.gethostname(), settings.state_dir),
    )
    channels = Channels(
        channel=streaming.channel,
        group=streaming.queue_group,
        namespace=settings.gateway.namespace,
        ack_wait_seconds=max(round(settings.worker.ack_wait_seconds), 1),
        ahead=settings.worker.max_inflight,
        refuse_callback=lambda url: why_undeliverable(url) or policy.refuse(url),
    )
    return partial(StreamingQueue, stan=stan, channels=channels)


def report_of(queue: Queue, shared: Shared) -> Callable[[], Deferred[None]]:
    """Has the figures of what is stored brought up to date."""
    if isinstance(queue, JetStreamQueue):
        return partial(queue.report, shared.figures.stored)
    return lambda: succeed(None)
