"""After a crash: what was in flight is available again at once, not when its lease runs out.

A consumer's deliveries are lent for ``ack_wait``. When there is nobody left who could hold one,
the wait is made short for a moment: everything in flight comes back to the consumer, with the
number of its deliveries, which deleting the consumer would forget.

What was given back for longer than ``ack_wait`` waits on: its time was moved, not its lease. What
was given back for less comes early, and is found to be so: the due time is noted in its record.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from faasd_async.nats.jetstream import JetStream
from faasd_async.queue.jetstream.subjects import CALLBACKS

#: The lease for that moment. It has run out for everything in flight when the broker looks for the
#: first time, which is 0.1 s after it was told.
_MOMENT_SECONDS = 0.02

#: How long the broker is given to look. What it says of a consumer does not tell whether it has:
#: what came back is counted as pending still.
_PATIENCE_SECONDS = 0.8

_log = Logger()


async def make_available(jetstream: JetStream, streams: Sequence[str], clock: IReactorTime) -> None:
    """Have all consumers of *streams* take back what they lent.

    :raises NatsError: the broker did not do it.
    """
    found = [
        await jetstream.consumer_info(stream, name)
        for stream in streams
        for name in await jetstream.consumer_names(stream)
    ]
    lending = [consumer for consumer in found if consumer.num_ack_pending]
    if not lending:
        return
    for consumer in lending:
        moment = round(_MOMENT_SECONDS * 1e9)
        short = msgspec.structs.replace(consumer.config, ack_wait=moment)
        await jetstream.ensure_consumer(consumer.stream_name, short)
    await deferLater(clock, _PATIENCE_SECONDS)
    for consumer in lending:
        await jetstream.ensure_consumer(consumer.stream_name, consumer.config)
    count = sum(
        consumer.num_ack_pending for consumer in lending if consumer.stream_name != CALLBACKS
    )
    if count:
        _log.warn(
            "{count} calls were in flight when the daemon went away; they are taken up again",
            count=count,
        )
