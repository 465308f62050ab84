"""After a crash, or a connection that broke off: what was handed out is available again at once,
not when its lease runs out; and what was settled is gone.

A consumer's deliveries are lent for ``ack_wait``. When there is nobody left who could hold one,
the wait is made short for a moment: everything in flight comes back to the consumer, with the
number of its deliveries, which deleting the consumer would forget. So it is when there is one who
knows what is in hand; but what was on its way to them when the connection broke off nobody has. (A
broker that was killed forgets that it handed it out. One that ends in peace writes it down.)

What was given back for longer than ``ack_wait`` waits on: its time was moved, not its lease. What
was given back for less comes early, and is found to be so: the due time is noted in its record.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import msgspec
from twisted.internet.defer import Deferred, DeferredList, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from faasd_async.nats.jetstream import ConsumerInfo, JetStream

#: The lease for that moment. It has run out for everything in flight when the broker looks for the
#: first time, which is 0.1 s after it was told.
_MOMENT_SECONDS = 0.02

#: How long the broker is given to look. What it says of a consumer does not tell whether it has:
#: what came back is counted as pending still.
_PATIENCE_SECONDS = 0.8

#: How long what was in flight is waited for before fresh calls are asked for. Not all of it need
#: come: some had been given back to wait.
_RETURN_SECONDS = 1.0


async def consumers_of(jetstream: JetStream, streams: Sequence[str]) -> Sequence[ConsumerInfo]:
    """How the consumers of *streams* are.

    :raises NatsError: the broker did not tell.
    """
    return [
        await jetstream.consumer_info(stream, name)
        for stream in streams
        for name in await jetstream.consumer_names(stream)
    ]


async def make_available(
    jetstream: JetStream, consumers: Sequence[ConsumerInfo], clock: IReactorTime
) -> Sequence[ConsumerInfo]:
    """Have *consumers* take back what they lent.

    :return: those that had lent anything.
    :raises NatsError: the broker did not do it.
    """
    lending = [consumer for consumer in consumers if consumer.num_ack_pending]
    if not lending:
        return lending
    for consumer in lending:
        moment = round(_MOMENT_SECONDS * 1e9)
        short = msgspec.structs.replace(consumer.config, ack_wait=moment)
        await jetstream.ensure_consumer(consumer.stream_name, short)
    await deferLater(clock, _PATIENCE_SECONDS)
    for consumer in lending:
        await jetstream.ensure_consumer(consumer.stream_name, consumer.config)
    return lending


async def all_returned(returning: Sequence[Deferred[None]], clock: IReactorTime) -> None:
    """Wait until all have fired, or have had their time."""
    over: Deferred[None] = Deferred()

    def all_came(_: object) -> None:
        if not over.called:
            over.callback(None)

    DeferredList(returning).addCallback(all_came)
    over.addTimeout(_RETURN_SECONDS, clock)
    with suppress(TimeoutError):
        await over


async def remove_settled(jetstream: JetStream, consumers: Sequence[ConsumerInfo]) -> int:
    """Remove what *consumers* know as settled and their streams still have.

    This comes before :func:`make_available`: the broker forgets in a purge what a consumer was to
    hand out again at once.

    A power cut leaves that behind: the broker had written down the one and not yet the other. Such
    a message is handed out no more, and would take room for ever. What became of it was on the disk
    before it was settled.

    :return: how many messages that were.
    :raises NatsError: the broker did not do it.
    """
    streams = {consumer.stream_name for consumer in consumers}
    states = {stream: (await jetstream.stream_info(stream)).state for stream in streams}
    removed = 0
    for consumer in consumers:
        stream, settled = consumer.stream_name, consumer.ack_floor.stream_seq
        state, subjects = states[stream], consumer.config.filter_subject
        # A consumer that is ahead of its stream knows of messages that are no more.
        if subjects and 0 < state.first_seq <= settled <= state.last_seq:
            removed += await jetstream.purge_stream(stream, filter=subjects, before=settled + 1)
    return removed
