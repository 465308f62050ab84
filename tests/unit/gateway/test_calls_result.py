"""A call's result, fetched or waited for."""

from __future__ import annotations

import pytest
from calls_there import ANSWER, CALLBACK, ID, call, ended
from front_door import Client, FrontDoor
from msgspec.structs import replace
from twisted.internet.defer import Deferred, fail

from faasd_async.call.ending import DeadLetter, Ending
from faasd_async.call.ids import CallKey
from faasd_async.call.request import Outcome
from faasd_async.errors import QueueUnavailable
from faasd_async.gateway.calls.waiting import MOST_WAITERS
from faasd_async.settings import ResultSettings

RESULT = f"/call/{ID}/result"


def ask(door: FrontDoor, target: str = RESULT, *fields: str, method: str = "GET") -> Client:
    return door.ask(method, target, *fields)


# -- what is there


def test_the_functions_own_answer(door: FrontDoor) -> None:
    """Its status, its header fields, its body; and what identifies the call."""
    ended(door, call(), replace(ANSWER, status=418))
    answer = ask(door).answer()
    assert (answer.status, answer.body) == (418, b"<p>")
    assert answer.header("X-Own") == b"1"
    assert answer.header("Content-Type") == b"text/html"
    assert answer.header("X-Call-Id") == ID.encode()
    assert answer.header("X-Function-Status") == b"418"
    assert answer.header("X-Duration-Seconds") == b"0.500000"


def test_a_browser_lets_it_do_nothing(door: FrontDoor) -> None:
    """Whatever the function says of it."""
    fields = [
        (b"content-security-policy", b"default-src *"),
        (b"X-Content-Type-Options", b"sniff"),
        (b"X-Call-Id", b"somebody-else's"),
    ]
    ended(door, call(), replace(ANSWER, headers=fields))
    answer = ask(door).answer()
    assert answer.header("Content-Security-Policy") == b"sandbox"
    assert answer.header("X-Content-Type-Options") == b"nosniff"
    assert answer.header("X-Call-Id") == ID.encode()


def test_the_framing_is_that_of_this_answer(door: FrontDoor) -> None:
    """What the function said of its own connection is not repeated."""
    fields = [(b"Content-Length", b"3"), (b"Connection", b"X-Hop"), (b"X-Hop", b"1")]
    ended(door, call(), replace(ANSWER, headers=fields))
    answer = ask(door).answer()
    assert answer.header("Content-Length") == b"3"
    assert answer.header("X-Hop") is None


def test_fields_keep_their_order_and_repetitions(door: FrontDoor) -> None:
    """Two links are two."""
    ended(door, call(), replace(ANSWER, headers=[(b"Link", b"b"), (b"Link", b"a")]))
    links = [value for name, value in ask(door).answer().headers if name == b"Link"]
    assert links == [b"b", b"a"]


@pytest.mark.parametrize("status", [200, 500])
def test_what_would_hold_for_the_whole_address_is_left_out(door: FrontDoor, status: int) -> None:
    """Whoever fetches the answer need not be who called, and other things are there, too; nor is
    what was said of the connection to the function passed on."""
    names = (
        "Set-Cookie", "set-cookie2", "Clear-Site-Data", "Strict-Transport-Security", "Alt-Svc",
        "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "TE", "Trailer", "Upgrade",
    )  # fmt: skip
    fields = [*((name.encode(), b"x=1") for name in names), (b"X-Own", b"1")]
    ended(door, call(), replace(ANSWER, status=status, headers=fields))
    answer = ask(door).answer()
    assert [name for name in names if answer.header(name) is not None] == []
    assert answer.header("X-Own") == b"1"


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body(door: FrontDoor, status: int) -> None:
    """It has no length either."""
    ended(door, call(), Outcome(status, (), b"", 0.5))
    answer = ask(door).answer()
    assert (answer.status, answer.header("Content-Length")) == (status, None)


def test_only_the_head_is_asked_for(door: FrontDoor) -> None:
    """The same without the body."""
    ended(door, call())
    answer = ask(door, method="HEAD").answer(bodiless=True)
    assert (answer.status, answer.header("Content-Length")) == (200, b"3")


def test_a_client_that_has_it_already(door: FrontDoor) -> None:
    """304; whatever else it has, and however it says so."""
    ended(door, call())
    tag = (ask(door).answer().header("ETag") or b"").decode()
    for known in (tag, f'"x", W/{tag}', "*"):
        assert ask(door, RESULT, f"If-None-Match: {known}").answer().status == 304
    for known in ('"x"', "nonsense", tag.strip('"')):
        assert ask(door, RESULT, f"If-None-Match: {known}").answer().status == 200


def test_the_functions_own_tag_counts(door: FrontDoor) -> None:
    """It is the function's answer."""
    ended(door, call(), replace(ANSWER, headers=[(b"ETag", b'W/"own"')]))
    assert ask(door, RESULT, 'If-None-Match: "own"').answer().status == 304


def test_a_failure_is_never_known_already(door: FrontDoor) -> None:
    """Conditions are for successes."""
    ended(door, call(), replace(ANSWER, status=500))
    assert ask(door, RESULT, "If-None-Match: *").answer().status == 500


# -- what is not there


def test_a_call_that_has_not_ended(door: FrontDoor) -> None:
    """202, where to look, and when to ask again."""
    door.queue.put_call(call())
    answer = ask(door).answer()
    assert (answer.status, answer.body) == (202, b"")
    assert answer.header("Retry-After") == b"1"
    assert answer.header("Location") == f"/call/{ID}".encode()
    assert answer.header("X-Function-Status") is None


def test_a_call_that_nobody_knows(door: FrontDoor) -> None:
    """404, at once, however long one would wait."""
    assert ask(door, f"{RESULT}?wait=30s").answer().status == 404


@pytest.mark.parametrize(
    ("keep", "why"),
    [
        (ResultSettings(keep_seconds=0), "the function's results.keep is 0s"),
        (ResultSettings(keep_seconds=0, max_bytes=2), "the function's results.keep is 0s"),
        (ResultSettings(max_bytes=2), "it is larger than the function's results.max_bytes"),
    ],
)
@pytest.mark.parametrize("owed", [False, True])
def test_a_result_that_is_not_kept(
    door: FrontDoor, keep: ResultSettings, why: str, owed: bool
) -> None:
    """410, and the one setting that it is for; what is there for the callback is nobody else's."""
    request = replace(call(), callback=CALLBACK if owed else None)
    ended(door, request, keep=keep)
    answer = ask(door).answer()
    assert answer.status == 410
    assert answer.header("X-Function-Status") is None
    said = f"the call has ended (succeeded); its answer is not kept: {why}\n"
    assert answer.body.decode() == said


def test_a_call_of_which_only_the_dead_letter_is_left(door: FrontDoor) -> None:
    """410: how it ended is known, and no more."""
    door.queue.dead_letters.put(DeadLetter(call(), "failed", 500, "", 1))
    answer = ask(door).answer()
    assert answer.status == 410
    assert b"(failed)" in answer.body
    assert b"dead letter" in answer.body


# -- waiting


@pytest.mark.parametrize(
    ("target", "fields", "preference"),
    [
        (f"{RESULT}?wait=30s", (), None),
        (f"{RESULT}?wait=30", (), None),
        (f"{RESULT}?wait=0.5m", (), None),
        (RESULT, ("Prefer: wait=30",), b"wait=30"),
        (RESULT, ("prefer: handling=lenient, Wait=30; x=y",), b"wait=30"),
    ],
)
def test_whoever_waits_is_answered_the_moment_it_is_there(
    door: FrontDoor, target: str, fields: tuple[str, ...], preference: bytes | None
) -> None:
    """And not before; the call leaves the queue meanwhile."""
    door.queue.put_call(call())
    client = ask(door, target, *fields)
    door.clock.advance(29.0)
    assert client.received == b""
    ended(door, call())
    answer = client.answer()
    assert (answer.status, answer.body) == (200, b"<p>")
    assert answer.header("Preference-Applied") == preference
    assert len(door.waiting) == 0


def test_whoever_has_waited_long_enough_is_told_so(door: FrontDoor) -> None:
    """202, as if nobody had waited."""
    door.queue.put_call(call())
    client = ask(door, f"{RESULT}?wait=2s")
    door.clock.advance(2.0)
    answer = client.answer()
    assert (answer.status, answer.header("Retry-After")) == (202, b"1")


def test_nobody_waits_longer_than_five_minutes(door: FrontDoor) -> None:
    """Whatever they ask for; the preference that was applied says so."""
    door.queue.put_call(call())
    clients = [ask(door, f"{RESULT}?wait=2h"), ask(door, RESULT, "Prefer: wait=7200")]
    door.clock.advance(300.0)
    answers = [client.answer() for client in clients]
    assert [answer.status for answer in answers] == [202, 202]
    assert answers[1].header("Preference-Applied") == b"wait=300"


def test_a_result_that_is_there_is_not_waited_for(door: FrontDoor) -> None:
    """It is the answer, at once."""
    ended(door, call())
    assert ask(door, f"{RESULT}?wait=30s").answer().status == 200


def test_many_wait_for_one_call(door: FrontDoor) -> None:
    """Each is answered, and only when that very call has ended."""
    other = call("another-call-of-somebody")
    door.queue.put_call(call())
    door.queue.put_call(other)
    clients = [ask(door, f"{RESULT}?wait=30s") for _ in range(3)]
    ended(door, other)
    assert [client.received for client in clients] == [b"", b"", b""]
    ended(door, call())
    assert [client.answer().status for client in clients] == [200, 200, 200]


def test_to_be_told_for_nothing_does_no_harm(door: FrontDoor) -> None:
    """What is told may be wrong: it is looked, and waited on."""
    door.queue.put_call(call())
    client = ask(door, f"{RESULT}?wait=30s")
    door.waiting.ended(call().key)
    door.waiting.ended(CallKey("somebody", "0"))
    assert client.received == b""
    ended(door, call())
    assert client.answer().status == 200


def test_whoever_leaves_waits_no_more(door: FrontDoor) -> None:
    """Nothing is left of them."""
    door.queue.put_call(call())
    client = ask(door, f"{RESULT}?wait=30s")
    assert len(door.waiting) == 1
    client.leaves()
    assert len(door.waiting) == 0
    assert door.clock.getDelayedCalls() == []
    ended(door, call())


def test_a_wait_ends_with_410_too(door: FrontDoor) -> None:
    """If the result is not kept."""
    door.queue.put_call(call())
    client = ask(door, f"{RESULT}?wait=30s")
    ended(door, call(), keep=ResultSettings(keep_seconds=0))
    assert client.answer().status == 410


def test_after_a_replay_the_earlier_end_is_not_the_answer(door: FrontDoor) -> None:
    """The call has another one to come."""
    ended(door, call(), replace(ANSWER, status=500))
    again = replace(call(), generation=1)
    door.queue.put_call(again)
    client = ask(door, f"{RESULT}?wait=30s")
    assert client.received == b""
    ended(door, again)
    assert client.answer().status == 200


def test_so_many_may_wait_and_no_more(door: FrontDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    """503; there is a place again when one has left."""
    assert MOST_WAITERS == 1000
    monkeypatch.setattr(door.waiting, "_most", 2)
    door.queue.put_call(call())
    first, _ = (ask(door, f"{RESULT}?wait=30s") for _ in range(2))
    answer = ask(door, f"{RESULT}?wait=30s").answer()
    assert (answer.status, answer.header("Retry-After")) == (503, b"10")
    assert ask(door).answer().status == 202
    first.leaves()
    assert ask(door, f"{RESULT}?wait=30s").received == b""


def test_when_the_daemon_stops_nobody_is_kept(door: FrontDoor) -> None:
    """202: the next daemon will know."""
    door.queue.put_call(call())
    client = ask(door, f"{RESULT}?wait=30s")
    door.waiting.close()
    assert client.answer().status == 202
    assert ask(door, f"{RESULT}?wait=30s").answer().status == 202


def test_a_queue_that_goes_away_ends_a_wait(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, and nothing is left."""

    def find_ending(*about: object) -> Deferred[Ending | None]:
        return fail(QueueUnavailable("away"))

    door.queue.put_call(call())
    client = ask(door, f"{RESULT}?wait=30s")
    monkeypatch.setattr(door.queue.records, "find_ending", find_ending)
    door.waiting.ended(call().key)
    assert client.answer().status == 503
    assert len(door.waiting) == 0


def test_a_call_that_ends_between_two_looks(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is told while the queue is being asked is not forgotten."""
    asked: Deferred[Ending | None] = Deferred()
    find_ending = door.queue.records.find_ending
    answers = [asked]
    door.queue.put_call(call())
    monkeypatch.setattr(
        door.queue.records,
        "find_ending",
        lambda *about: answers.pop() if answers else find_ending(*about),
    )
    client = ask(door, f"{RESULT}?wait=30s")
    ended(door, call())
    asked.callback(None)
    assert client.answer().status == 200


@pytest.mark.parametrize("wait", ["soon", "-1", "", "1 s"])
def test_a_wait_that_is_none(door: FrontDoor, wait: str) -> None:
    """400."""
    answer = ask(door, f"{RESULT}?wait={wait.replace(' ', '%20')}").answer()
    assert (answer.status, b"wait" in answer.body) == (400, True)


def test_an_end_heard_of_elsewhere_is_an_answer(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is listened for while somebody waits, once however many do, and no longer."""
    heard: list[str] = []

    def hear(name: object, ended: object, moved: object) -> object:
        heard.append("listens")
        return lambda: heard.append("stops")

    monkeypatch.setattr(door.waiting, "_hear", hear)
    door.queue.put_call(call())
    clients = [ask(door, f"{RESULT}?wait=30s") for _ in range(2)]
    assert heard == ["listens"]
    for client in clients:
        client.leaves()
    assert heard == ["listens", "stops"]
