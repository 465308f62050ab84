"""What a callback says, and how its answer is read away."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest
from msgspec.structs import replace
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.iweb import IResponse

from faasd_async.call.callback_url import CallbackUrl, parse
from faasd_async.call.ending import Ending, State, callback_url_of
from faasd_async.call.headers import Headers
from faasd_async.call.history import Attempt, History
from faasd_async.call.ids import CallKey
from faasd_async.call.request import CallbackRequest, Outcome, QueueRequest
from faasd_async.callback.letter import HOPS, webhook_id, write_letter
from faasd_async.callback.reading import LONGEST_ANSWER_BYTES, read_away

URL = parse(b"http://u:p@caller.test/back")
OTHER_URL = parse(b"http://caller.test/failed")
OURS = [
    (b"Webhook-Id", b"msg_call-1_0_0"),
    (b"X-Call-Id", b"call-1"),
    (b"X-Duration-Seconds", b"0.250000"),
    (b"X-Function-Name", b"f"),
    (b"X-Function-Status", b"201"),
    (b"X-Retry", b"0"),
    (b"X-Retry-Max", b"4"),
    (b"X-Start-Time", b"77"),
]
DATE = (b"Date", b"Thu, 01 Jan 1970 00:00:05 GMT")


def call() -> QueueRequest:
    return QueueRequest(
        function="f",
        queue="q",
        key=CallKey("call-1", "0"),
        start_time_ns=77,
        target=b"/",
        headers=[(b"X-Callers-Own", b"1")],
        body=b"the caller's",
    )


def letter(
    *headers: tuple[bytes, bytes],
    attempts: int = 1,
    crashes: int = 0,
    callback: CallbackUrl | None = URL,
    generation: int = 0,
) -> CallbackRequest:
    request = replace(call(), callback=callback, generation=generation)
    history = History((Attempt(1, 201, 0.25),) * attempts).with_crashes(crashes)
    ending = Ending("succeeded", Outcome(201, headers, b"the answer", 0.25), history, 9)
    return write_letter(request, ending, 5, now_seconds=lambda: 5.0)


def test_a_letter_is_the_functions_answer() -> None:
    """Its body and header fields, to the caller's URL, under the call's key."""
    written = letter((b"Content-Type", b"a/b"), (b"Set-Cookie", b"1"), (b"Set-Cookie", b"2"))
    assert (written.function, written.key, written.url) == ("f", CallKey("call-1", "0"), URL)
    assert written.body == b"the answer"
    assert list(written.headers) == [
        (b"Content-Type", b"a/b"),
        (b"Set-Cookie", b"1"),
        (b"Set-Cookie", b"2"),
        DATE,
        *OURS,
    ]


def test_a_replayed_calls_letter_is_another() -> None:
    """It carries the call's generation, and an id of its own."""
    again = letter(generation=2)
    assert again.generation == 2
    assert dict(again.headers)[b"Webhook-Id"] != dict(letter().headers)[b"Webhook-Id"]


def test_each_letter_has_an_id() -> None:
    """The same whenever it is written, and for no other call; in visible ASCII, without a stop."""
    keys = [CallKey("a", "0"), CallKey("a", "k1f"), CallKey("a.0", "0"), CallKey("\xfc/ x_0", "0")]
    ids = {webhook_id(key, generation) for key in keys for generation in (0, 1)}
    assert len(ids) == 8
    assert all(re.fullmatch(rb"msg_[A-Za-z0-9_-]+", each) for each in ids)
    assert webhook_id(keys[2], 0) == b"msg_a_2E0_0_0"


@pytest.mark.parametrize(
    ("state", "callback", "on_failure", "told"),
    [
        ("succeeded", URL, OTHER_URL, URL),
        ("failed", URL, OTHER_URL, OTHER_URL),
        ("dead", URL, OTHER_URL, OTHER_URL),
        ("expired", URL, None, URL),
        ("failed", None, OTHER_URL, OTHER_URL),
        ("succeeded", None, OTHER_URL, None),
        ("failed", None, None, None),
    ],
)
def test_what_is_no_success_may_go_elsewhere(
    state: State, callback: CallbackUrl | None, on_failure: CallbackUrl | None, told: Any
) -> None:
    """Where the caller named a place of its own for it."""
    request = replace(call(), callback=callback, on_failure=on_failure)
    ending = Ending(state, Outcome(500, (), b"", 0.25), History(), 9)
    assert callback_url_of(request, ending) == told
    if told is not None:
        assert write_letter(request, ending, 5, now_seconds=lambda: 5.0).url == told


@pytest.mark.parametrize(
    ("attempts", "crashes", "retries"),
    [(0, 0, b"0"), (1, 0, b"0"), (3, 0, b"2"), (1, 1, b"0"), (3, 2, b"2"), (0, 3, b"0")],
)
def test_retries_are_counted(attempts: int, crashes: int, retries: bytes) -> None:
    """All that a policy asked for: neither the first attempt nor what followed a crash."""
    written = letter(attempts=attempts, crashes=crashes)
    assert dict(written.headers)[b"X-Retry"] == retries


def test_what_identifies_a_call_is_ours_alone() -> None:
    """A function cannot write another call's name on its letter."""
    forged: Headers = [(name.lower(), b"forged") for name, _ in OURS]
    assert list(letter(*forged).headers) == [DATE, *OURS]


def test_what_was_for_the_hop_stays_here() -> None:
    """As are framing, and what the daemon says of itself and of the endpoint."""
    hop = [
        (b"Connection", b"X-Hop"),
        (b"X-Hop", b"1"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Content-Length", b"3"),
        (b"Host", b"h"),
        (b"User-Agent", b"a function"),
    ]
    assert list(letter(*hop).headers) == [DATE, *OURS]


def test_the_functions_date_stays() -> None:
    """One is written only where there is none."""
    dates = [value for name, value in letter((b"date", b"then")).headers if name.lower() == b"date"]
    assert dates == [b"then"]


def test_nobody_asked_for_a_letter() -> None:
    """To write one then is a bug."""
    with pytest.raises(ValueError, match="call-1"):
        letter(callback=None)


class Answer:
    """A response whose body the test writes."""

    def __init__(self) -> None:
        self.transport = StringTransport()
        self.reader: Protocol | None = None

    def deliverBody(self, reader: Protocol) -> None:  # noqa: N802
        self.reader = reader
        reader.makeConnection(self.transport)

    def says(self, data: bytes) -> None:
        assert self.reader is not None
        self.reader.dataReceived(data)

    def ends(self, reason: Exception) -> None:
        assert self.reader is not None
        self.reader.connectionLost(Failure(reason))


@pytest.mark.parametrize("reason", [ResponseDone(), ConnectionLost()])
def test_an_answer_is_read_to_its_end(reason: Exception) -> None:
    """However it ends: its status is known, and nobody needs the rest."""
    answer = Answer()
    ended = read_away(cast(IResponse, answer))
    answer.says(b"x" * LONGEST_ANSWER_BYTES)
    assert (ended.called, answer.transport.disconnecting) == (False, False)
    answer.ends(reason)
    assert ended.called


def test_an_endless_answer_is_cut_short() -> None:
    """With the first byte too many, however it is spread."""
    answer = Answer()
    ended = read_away(cast(IResponse, answer))
    answer.says(b"x" * (LONGEST_ANSWER_BYTES - 1))
    answer.says(b"x")
    assert not answer.transport.disconnecting
    answer.says(b"x")
    assert answer.transport.disconnecting
    answer.ends(ConnectionLost())
    assert ended.called


def test_reading_can_be_given_up() -> None:
    """The connection goes, and its end is no second result."""
    answer = Answer()
    ended = read_away(cast(IResponse, answer))
    ended.addErrback(lambda _: None)
    ended.cancel()
    assert answer.transport.disconnecting
    answer.ends(ConnectionLost())


@pytest.mark.parametrize(
    ("asked", "answered", "told"),
    [((), (), []), (((HOPS, b"4"),), (), [b"4"]), (((HOPS, b"4"),), ((HOPS, b"0"),), [b"4"])],
)
def test_how_long_a_chain_is_goes_along(asked: Headers, answered: Headers, told: object) -> None:
    """As the call was told; a function cannot say otherwise, and a call alone is no chain."""
    request = replace(call(), callback=URL, headers=asked)
    ending = Ending("succeeded", Outcome(200, answered, b"", 0.1), History(), 9)
    written = write_letter(request, ending, 5, now_seconds=lambda: 5.0)
    assert [value for name, value in written.headers if name == HOPS] == told


def test_a_function_signs_nothing() -> None:
    """What it says of a signature is left out: that is for the daemon to say."""
    signed = letter((b"Webhook-Signature", b"v1,x"), (b"webhook-timestamp", b"1"), (b"X-A", b"1"))
    names = {name.lower() for name, _ in signed.headers}
    assert not names & {b"webhook-signature", b"webhook-timestamp"}
    assert b"x-a" in names
