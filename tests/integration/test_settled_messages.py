"""What was settled leaves its stream, whatever a power cut has made of it."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest_twisted
from real_nats import RealNats
from test_body_sweep import LAYOUT
from twisted.internet.defer import Deferred

from faasd_async.nats.jetstream import ConsumerConfig, JetStream, JetStreamMessage, Puller
from faasd_async.queue.jetstream.recovery import consumers_of, remove_settled
from faasd_async.queue.jetstream.subjects import CALLS

CONSUMER = ConsumerConfig(
    name="c", durable_name="c", ack_policy="explicit", filter_subject="faas.call.>"
)


async def handed_out(nats: RealNats, jetstream: JetStream, count: int) -> list[JetStreamMessage]:
    """So many messages, in their order."""
    got: list[JetStreamMessage] = []
    all_came: Deferred[None] = Deferred()

    def take(message: JetStreamMessage) -> None:
        got.append(message)
        if len(got) == count:
            all_came.callback(None)

    puller = Puller(
        jetstream,
        CALLS,
        "c",
        on_message=take,
        on_unused=lambda unused: None,
        on_error=lambda reason: None,
    )
    puller.ask(count)
    await nats.soon(all_came)
    return got


async def removed(jetstream: JetStream) -> int:
    return await remove_settled(jetstream, await consumers_of(jetstream, [CALLS]))


@pytest_twisted.ensureDeferred
async def test_what_a_power_cut_brought_back_is_removed(reactor: Any, tmp_path: Path) -> None:
    """The consumer knew the first message as settled, and the stream had not written it down: it is
    handed out no more, and would stay. What was not settled does stay, and so does what is not a
    call."""
    nats = RealNats(reactor, tmp_path)
    await nats.start()
    jetstream = JetStream(await nats.client())
    for stream in LAYOUT.streams:
        await nats.soon(jetstream.ensure_stream(stream))
    await nats.soon(jetstream.ensure_consumer(CALLS, CONSUMER))
    await nats.soon(jetstream.publish(b"faas.body.call.c=1.0", b"a piece"))
    for name in (b"a", b"b", b"c"):
        await nats.soon(jetstream.publish(b"faas.call." + name, name))
    first, *_ = await handed_out(nats, jetstream, 3)
    (messages,) = tmp_path.rglob(f"{CALLS}/msgs")
    shutil.copytree(messages, tmp_path / "before")
    first.ack()
    while (await nats.soon(jetstream.stream_info(CALLS))).state.messages == 4:
        pass
    await nats.end(signal.SIGTERM)
    shutil.rmtree(messages)
    shutil.copytree(tmp_path / "before", messages)

    await nats.start()
    jetstream = JetStream(await nats.client())
    assert (await nats.soon(jetstream.stream_info(CALLS))).state.messages == 4
    assert await nats.soon(Deferred.fromCoroutine(removed(jetstream))) == 1
    left = (await nats.soon(jetstream.stream_info(CALLS, subjects_filter=">"))).state.subjects
    assert left == {"faas.body.call.c=1.0": 1, "faas.call.b": 1, "faas.call.c": 1}
    assert await nats.soon(Deferred.fromCoroutine(removed(jetstream))) == 0
    await nats.end()
