"""What is remembered of calls that are in NATS Streaming."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred, succeed

from faasd_async.call.callback_url import parse
from faasd_async.call.ids import CallKey
from faasd_async.call.known import Known
from faasd_async.call.request import QueueRequest
from faasd_async.queue.interface import Lookup
from faasd_async.queue.streaming import client_id
from faasd_async.queue.streaming.published import Published, StreamingLookup


def call(call_id: str, accept: str = "0") -> QueueRequest:
    callback = parse(b"http://h/")
    return QueueRequest("f", "q", CallKey(call_id, accept), 7, b"/", [], b"body", callback)


class Beside:
    """What JetStream knows."""

    def __init__(self, known: object) -> None:
        self.known = known

    def find(self, call_id: str, accept: str | None = None) -> Deferred[Known | None]:
        return succeed(cast(Known | None, self.known))


def found(published: Published, call_id: str, beside: object = None) -> Known | None:
    lookup = StreamingLookup(cast(Lookup, Beside(beside)), published)
    result: list[Known | None] = []
    lookup.find(call_id).addCallback(result.append)
    return result[0]


def test_a_published_call_waits_in_the_queue() -> None:
    """Without its body, which is elsewhere."""
    published = Published()
    published.add(call("one"))
    known = found(published, "one")
    assert known is not None
    assert known.request is not None
    assert (known.place, known.queue, known.accepted_ns) == ("queue", "q", 7)
    assert known.request.body == b""
    assert known.callback is not None
    assert known.callback.state == "pending"


def test_what_jetstream_knows_counts_first() -> None:
    """The call has come out meanwhile."""
    published = Published()
    published.add(call("one"))
    assert found(published, "one", beside="more") == "more"  # type: ignore[comparison-overlap]


def test_a_call_that_came_out_is_forgotten() -> None:
    """Others of its id are not."""
    published = Published()
    for accept in ("a", "b"):
        published.add(call("one", accept))
    published.discard(CallKey("one", "b"))
    published.discard(CallKey("one", "never"))
    known = found(published, "one")
    assert known is not None
    assert known.name.key.accept == "a"
    assert published.find("one", "b") is None


def test_the_oldest_are_forgotten_first() -> None:
    """There is a bound."""
    published = Published(most=2)
    for name in ("one", "two", "three"):
        published.add(call(name))
    assert [found(published, name) is None for name in ("one", "two", "three")] == [
        True,
        False,
        False,
    ]


def test_a_client_id_is_the_same_at_each_start() -> None:
    """And no other daemon's; whatever a host is called, it is one."""
    first = client_id("edge.example.org", "/var/lib/faasd-async")
    assert first == client_id("edge.example.org", "/var/lib/faasd-async")
    assert first != client_id("edge.example.org", "/srv/other")
    assert first.startswith("faas-worker-edge-example-org-")
