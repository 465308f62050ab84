"""How many calls may wait for their time: the broker has no limit for them, so the daemon looks."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from twisted.internet.defer import Deferred, succeed

from faasd_async.call.ids import CallKey
from faasd_async.call.request import QueueRequest
from faasd_async.errors import QueueFull
from faasd_async.nats.jetstream import StreamConfig, StreamInfo, StreamState
from faasd_async.queue.jetstream.later import Later
from faasd_async.queue.jetstream.stored import write_request

REQUEST = QueueRequest(
    function="f",
    queue="q",
    key=CallKey("call-1", "0"),
    start_time_ns=1,
    target=b"/",
    headers=[],
    body=b"x" * 100,
)


class PaperStore:
    """Holds as much as the test says.

    :ivar put: the subjects of what was put.
    """

    def __init__(self) -> None:
        self.messages = 0
        self.bytes = 0
        self.put: list[str] = []
        self.jetstream = self

    def stream_info(self, name: str) -> Deferred[StreamInfo]:
        state = StreamState(self.messages, self.bytes, 1, 1, 0)
        return succeed(StreamInfo(StreamConfig(name=name), datetime.now(UTC), state))

    def put_durably(self, subject: str, fields: object, payload: bytes) -> Deferred[None]:
        self.put.append(subject)
        return succeed(None)


@pytest.mark.parametrize(
    ("messages", "size_bytes", "words"),
    [(9, 1000, None), (10, 1000, "10 calls wait"), (9, 1001, "1001 bytes of calls wait")],
)
def test_a_quota_in_messages_and_in_bytes(
    messages: int, size_bytes: int, words: str | None
) -> None:
    """Up to both a call is put off; past either it is refused, and nothing is put."""
    store = PaperStore()
    store.messages, store.bytes = messages, size_bytes
    most_bytes = 1000 + len(write_request(REQUEST)[1])
    later = Later(store, most_bytes, 10, lambda _: succeed(None), lambda: 0.0)  # type: ignore[arg-type]
    failed: list[Exception] = []
    putting = Deferred.fromCoroutine(later.put(REQUEST, 60.0))
    putting.addErrback(lambda failure: failed.append(failure.value))
    if words is None:
        assert (store.put, failed) == (["faas.later.q.f.call-1.0"], [])
    else:
        (reason,) = failed
        assert isinstance(reason, QueueFull)
        assert words in str(reason)
        assert store.put == []
