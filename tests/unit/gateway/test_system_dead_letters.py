"""Dead letters over REST: listed, shown, replayed and purged."""

from __future__ import annotations

import gc
from typing import Any

import msgspec
import pytest
from front_door import NOW_NS, Answer, Client, Failures, FrontDoor, request
from msgspec.structs import replace
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail

from faasd_async.call.callback_url import parse
from faasd_async.call.ending import DeadCallback, DeadLetter, SealedLetter
from faasd_async.call.headers import Headers
from faasd_async.call.history import Attempt, History
from faasd_async.call.ids import CallKey
from faasd_async.call.request import CallbackRequest, QueueRequest
from faasd_async.errors import (
    CallTooLarge,
    MaybeStored,
    QueueError,
    QueueFull,
    QueueUnavailable,
)
from faasd_async.queue.interface import Delivery, Filed, OfFunction, Selection

OPERATOR = IPv4Address("TCP", "127.0.0.1", 40123)
LETTERS = "/system/dead-letters"

ACCEPTED_NS = 1_600_000_000_000_000_000
ENDED_NS = ACCEPTED_NS + 90_000_001_000


def ask(door: FrontDoor, method: str, target: str, body: object = b"") -> Answer:
    """An operator's request."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    client = door.client(OPERATOR)
    client.send(request(method, target, "Host: localhost", body=raw))
    return client.answer()


def told(door: FrontDoor, method: str, target: str, body: object = b"", status: int = 200) -> Any:
    """What an operator is told, as JSON."""
    answer = ask(door, method, target, body)
    assert answer.status == status, answer.body
    assert answer.header("Content-Type") == b"application/json"
    return msgspec.json.decode(answer.body)


def letter(
    call_id: str = "1",
    function: str = "f",
    *,
    accept: str = "0",
    headers: Headers = ((b"X-Call-Id", b"1"), (b"X-Start-Time", b"7")),
    **changes: Any,
) -> DeadLetter:
    """A call that failed after two attempts."""
    history = History((Attempt(ACCEPTED_NS, 503, 0.5), Attempt(0, 0, 0.0, "gone")))
    call = QueueRequest(
        function,
        "slow",
        CallKey(call_id, accept),
        ACCEPTED_NS,
        b"/a%2Fb?c",
        headers,
        b"body",
        history=history,
    )
    call = replace(call, **{name: changes.pop(name) for name in list(changes) if name != "reason"})
    return DeadLetter(call, changes.get("reason", "failed"), 500, "", ENDED_NS)


def dead_callback(call_id: str = "1", function: str = "f") -> DeadCallback:
    """A callback whose endpoint is gone."""
    headers = ((b"X-Call-Id", b"1"), (b"X-Start-Time", b"%d" % ACCEPTED_NS))
    url = parse(b"http://user:word@h.test/cb?q")
    callback = CallbackRequest(function, CallKey(call_id, "0"), url, headers, b"answer")
    tries = (Attempt(ACCEPTED_NS, 410, 0.5),)
    return DeadCallback(callback, "gone", 410, "", 3, ENDED_NS, tries)


def keep(door: FrontDoor, *letters: DeadLetter | DeadCallback) -> None:
    for each in letters:
        if isinstance(each, DeadCallback):
            door.queue.dead_letters.put_callback(each)
        else:
            door.queue.dead_letters.put(each)


def left(door: FrontDoor) -> list[tuple[str, str]]:
    """The letters there are, by function and id."""
    found: list[Filed] = []
    door.queue.dead_letters.look_through(Selection(), 0, 1000).addCallback(
        lambda page: found.extend(page.letters)
    )
    return [(each.letter.function, each.letter.key.call_id) for each in found]


def waiting(door: FrontDoor, function: str = "f") -> list[QueueRequest]:
    """The calls that wait; they are taken away."""
    taken: list[Delivery[QueueRequest]] = []
    door.queue.take_calls(OfFunction(function), taken.append, lambda: 1000).stop()
    for delivery in taken:
        delivery.settle()
    return [delivery.parcel for delivery in taken]


def callbacks(door: FrontDoor) -> list[CallbackRequest]:
    """The callbacks that wait; they are taken away."""
    taken: list[Delivery[CallbackRequest]] = []
    door.queue.take_callbacks(taken.append, lambda: 1000).stop()
    for delivery in taken:
        delivery.settle()
    return [delivery.parcel for delivery in taken]


# -- who, and what there is


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", LETTERS),
        ("DELETE", f"{LETTERS}?all=true"),
        ("POST", f"{LETTERS}/replay?all=true"),
        ("GET", f"{LETTERS}/1"),
        ("DELETE", f"{LETTERS}/1"),
        ("POST", f"{LETTERS}/1/replay"),
    ],
)
def test_a_stranger_is_not_admitted(door: FrontDoor, method: str, target: str) -> None:
    """403, and nothing is done."""
    keep(door, letter())
    client: Client = door.ask(method, target)
    assert client.answer().status == 403
    assert left(door) == [("f", "1")]
    assert waiting(door) == []


@pytest.mark.parametrize(
    ("method", "target"),
    [("POST", LETTERS), ("PUT", f"{LETTERS}/1"), ("GET", f"{LETTERS}/1/replay")],
)
def test_other_methods(door: FrontDoor, method: str, target: str) -> None:
    """405, with those that there are."""
    answer = ask(door, method, target)
    assert answer.status == 405
    assert answer.header("Allow")


def test_a_call_in_the_list(door: FrontDoor) -> None:
    """What died, why, and every attempt at it."""
    keep(door, letter(generation=2))
    assert told(door, "GET", LETTERS) == {
        "dead_letters": [
            {
                "id": "1",
                "accept": "0",
                "kind": "call",
                "function": "f",
                "queue": "slow",
                "reason": "failed",
                "status": 500,
                "error": "",
                "attempts": [
                    {
                        "number": 1,
                        "at": "2020-09-13T12:26:40.000000Z",
                        "status": 503,
                        "seconds": 0.5,
                        "error": "",
                    },
                    {"number": 2, "at": None, "status": 0, "seconds": 0.0, "error": "gone"},
                ],
                "replays": 2,
                "accepted": "2020-09-13T12:26:40.000000Z",
                "ended": "2020-09-13T12:28:10.000001Z",
                "size": 4,
            }
        ]
    }


def test_a_callback_in_the_list(door: FrontDoor) -> None:
    """Where it was to go, without the credentials, and how often that was tried."""
    keep(door, dead_callback())
    assert told(door, "GET", LETTERS) == {
        "dead_letters": [
            {
                "id": "1",
                "accept": "0",
                "kind": "callback",
                "function": "f",
                "reason": "gone",
                "status": 410,
                "error": "",
                "tries": 3,
                "attempts": [
                    {
                        "number": 1,
                        "at": "2020-09-13T12:26:40.000000Z",
                        "status": 410,
                        "seconds": 0.5,
                        "error": "",
                    }
                ],
                "replays": 0,
                "accepted": "2020-09-13T12:26:40.000000Z",
                "ended": "2020-09-13T12:28:10.000001Z",
                "size": 6,
                "callback_url": "http://h.test/cb?…",
            }
        ]
    }


def test_pages_follow_each_other(door: FrontDoor) -> None:
    """Oldest first; a page says where the next one begins, and the last one does not."""
    keep(door, *(letter(f"{number}") for number in range(5)))
    first = told(door, "GET", f"{LETTERS}?limit=2")
    second = told(door, "GET", f"{LETTERS}?limit=2&after={first['next']}")
    third = told(door, "GET", f"{LETTERS}?limit=2&after={second['next']}")
    pages = [[each["id"] for each in page["dead_letters"]] for page in (first, second, third)]
    assert pages == [["0", "1"], ["2", "3"], ["4"]]
    assert "next" not in third


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("function=g", ["2"]),
        ("kind=callback", ["3"]),
        ("kind=call&reason=exhausted", ["4"]),
        ("reason=gone", ["3"]),
        ("function=nobody", []),
    ],
)
def test_a_list_is_filtered(door: FrontDoor, query: str, ids: list[str]) -> None:
    """By function, kind and reason, whatever of it is given."""
    keep(door, letter("1"), letter("2", "g"), dead_callback("3"), letter("4", reason="exhausted"))
    page = told(door, "GET", f"{LETTERS}?{query}")
    assert [each["id"] for each in page["dead_letters"]] == ids


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("limit=0", "limit: found '0'; allowed: a number from 1 to 1000"),
        ("limit=1001", "limit: found '1001'; allowed: a number from 1 to 1000"),
        ("limit=ten", "limit: found 'ten'"),
        ("limit=", "limit: found no value"),
        ("limit=1&limit=2", "limit: found several values"),
        ("after=-1", "after: found '-1'"),
        ("after=9223372036854775808", "after: found '9223372036854775808'"),
        ("after=" + "9" * 5000, "after: found '9999"),
        ("kind=letter", "kind: found 'letter'; allowed: call or callback"),
        ("reason=bad", "reason: found 'bad'; allowed: exhausted or failed"),
        ("functon=f", "'functon' is not known here; known are function, kind, reason"),
        ("function=" + "f" * 129, "there is no such dead letter"),
    ],
)
def test_a_query_that_is_not_understood(door: FrontDoor, query: str, says: str) -> None:
    """400, naming what it is."""
    answer = ask(door, "GET", f"{LETTERS}?{query}")
    assert answer.status == 400
    assert answer.body.decode().startswith(says)


def test_a_letter_that_cannot_be_read_is_listed_as_such(door: FrontDoor) -> None:
    """It is in its place, with what its subject tells, and it breaks nothing."""
    keep(door, letter("1"), letter("2"))
    sealed = SealedLetter("call", "f\udcff", CallKey("2", "0"), "format 9", b"NATS/1.0 what?")
    letters = door.queue.dead_letters._letters  # a newer version wrote it
    about = next(each for each in letters if each[2].call_id == "2")
    letters[about] = Filed(2, sealed)
    (_, second) = told(door, "GET", LETTERS)["dead_letters"]
    assert second == {
        "id": "2",
        "accept": "0",
        "kind": "call",
        "function": "f\ufffd",
        "reason": "unreadable",
        "unreadable": "format 9",
        "size": 14,
    }
    (whole,) = told(door, "GET", f"{LETTERS}/2")["dead_letters"]
    assert "body" not in whole  # there may be secrets in it, and nobody knows where
    (whole,) = told(door, "GET", f"{LETTERS}/2?secrets=1")["dead_letters"]
    assert (whole["unreadable"], whole["body"]) == ("format 9", "NATS/1.0 what?")
    failed = told(door, "POST", f"{LETTERS}/2/replay", status=409)["failed"]
    assert failed[0]["why"] == "it cannot be read: format 9"


# -- one of them, whole


def test_a_letter_is_shown_whole(door: FrontDoor) -> None:
    """Its target and its header fields as they came, and its body as text."""
    fields = ((b"X-Twice", b"1"), (b"x-twice", b"\xe4"), (b"Content-Type", b"text/plain"))
    keep(door, letter(headers=fields))
    (shown,) = told(door, "GET", f"{LETTERS}/1")["dead_letters"]
    assert shown["target"] == "/a%2Fb?c"
    assert shown["headers"] == [["X-Twice", "1"], ["x-twice", "ä"], ["Content-Type", "text/plain"]]
    assert (shown["body"], shown["body_encoding"]) == ("body", "utf-8")
    assert shown["callback_url"] is None


def test_a_body_that_is_no_text(door: FrontDoor) -> None:
    """It is shown in Base64, and said to be."""
    keep(door, letter(body=b"\xff\x00"))
    (shown,) = told(door, "GET", f"{LETTERS}/1")["dead_letters"]
    assert (shown["body"], shown["body_encoding"]) == ("/wA=", "base64")


def test_secrets_are_hidden_unless_they_are_asked_for(door: FrontDoor) -> None:
    """Credentials in header fields and in callback URLs."""
    url = b"http://u:word@h.test/"
    fields = (
        (b"AUTHORIZATION", b"Bearer t"),
        (b"Cookie", b"c"),
        (b"X-Callback-Url", url),
        (b"X-Callback-On-Failure", b"not one"),
    )
    keep(door, letter(headers=fields, callback=parse(url), on_failure=parse(url)))
    (hidden,) = told(door, "GET", f"{LETTERS}/1")["dead_letters"]
    assert [value for _, value in hidden["headers"]] == [
        "(hidden)",
        "(hidden)",
        "http://h.test/",
        "(hidden)",
    ]
    assert hidden["callback_url"] == hidden["on_failure_url"] == "http://h.test/"
    (shown,) = told(door, "GET", f"{LETTERS}/1?secrets=1")["dead_letters"]
    assert [value for _, value in shown["headers"]] == ["Bearer t", "c", url.decode(), "not one"]
    assert shown["callback_url"] == shown["on_failure_url"] == url.decode()


def test_a_callback_is_shown_whole(door: FrontDoor) -> None:
    """The answer that it carries, and where it was to go."""
    keep(door, dead_callback())
    (shown,) = told(door, "GET", f"{LETTERS}/1?secrets=true")["dead_letters"]
    assert shown["callback_url"] == "http://user:word@h.test/cb?q"
    assert shown["body"] == "answer"
    assert ["X-Call-Id", "1"] in shown["headers"]


def test_letters_that_share_an_id_are_shown_together(door: FrontDoor) -> None:
    """Of all functions and kinds; ``accept`` and ``kind`` tell them apart."""
    keep(door, letter(), letter(accept="x"), letter("2"), dead_callback())
    assert len(told(door, "GET", f"{LETTERS}/1")["dead_letters"]) == 3
    (one,) = told(door, "GET", f"{LETTERS}/1?accept=x")["dead_letters"]
    assert one["accept"] == "x"
    (one,) = told(door, "GET", f"{LETTERS}/1?kind=callback")["dead_letters"]
    assert one["kind"] == "callback"


@pytest.mark.parametrize("call_id", ["a/b", "100%25", "a b", "replay", "ä"])
def test_an_id_may_have_any_characters(door: FrontDoor, call_id: str) -> None:
    """They are escaped in the path."""
    escaped = "".join(f"%{byte:02X}" for byte in call_id.encode())
    keep(door, letter(call_id))
    (shown,) = told(door, "GET", f"{LETTERS}/{escaped}")["dead_letters"]
    assert shown["id"] == call_id


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/replay")])
@pytest.mark.parametrize("call_id", ["2", "x" * 200])
def test_an_id_that_nobody_has(door: FrontDoor, method: str, path: str, call_id: str) -> None:
    """404."""
    keep(door, letter())
    assert ask(door, method, f"{LETTERS}/{call_id}{path}").status == 404


# -- replayed


def test_a_replayed_call_is_accepted_anew(door: FrontDoor) -> None:
    """Under its id, a generation later, without a history, into its function's present queue."""
    keep(door, letter(queue="elsewhere", generation=1))
    answer = told(door, "POST", f"{LETTERS}/1/replay", status=202)
    assert answer == {"replayed": 1, "failed": []}
    (call,) = waiting(door)
    start = (b"X-Start-Time", b"%d" % NOW_NS)
    assert call == replace(
        letter().request,
        start_time_ns=NOW_NS,
        headers=[(b"X-Call-Id", b"1"), start],
        history=History(),
        generation=2,
    )
    assert door.accepted == [call]
    assert left(door) == []


def test_header_fields_are_edited(door: FrontDoor) -> None:
    """A value stands in place of all that were there, ``null`` removes them."""
    fields = ((b"A", b"1"), (b"a", b"2"), (b"B", b"3"), (b"C", b"4"), (b"X-Start-Time", b"7"))
    keep(door, letter(headers=fields))
    edits = {"headers": {"A": "new", "b": None, "D": "ä"}}
    told(door, "POST", f"{LETTERS}/1/replay", edits, status=202)
    (call,) = waiting(door)
    assert [field for field in call.headers if field[0] != b"X-Start-Time"] == [
        (b"C", b"4"),
        (b"A", b"new"),
        (b"D", b"\xe4"),
    ]


@pytest.mark.parametrize(("url", "seen"), [("http://new.test/", b"http://new.test/"), (None, None)])
def test_a_calls_callback_is_edited(door: FrontDoor, url: str | None, seen: bytes | None) -> None:
    """It goes elsewhere or nowhere, and that is what the function is told."""
    old = b"http://old.test/"
    keep(door, letter(headers=((b"X-Callback-Url", old),), callback=parse(old)))
    told(door, "POST", f"{LETTERS}/1/replay", {"callback_url": url}, status=202)
    (call,) = waiting(door)
    assert call.callback == (parse(seen) if seen else None)
    assert dict(call.headers).get(b"X-Callback-Url") == seen


@pytest.mark.parametrize(
    ("edits", "says"),
    [
        (b"{", "the body: "),
        ({"header": {}}, "the body: Object contains unknown field `header`"),
        ({"headers": {"A": 1}}, "the body: Expected `str | null`, got `int`"),
        ({"headers": {"A b": "1"}}, "headers: 'A b' has characters that no field can have"),
        ({"headers": {"": "1"}}, "headers: '' has characters"),
        ({"headers": {"A": "1\r\nB: 2"}}, "headers: 'A' has characters"),
        ({"headers": {"A": "€"}}, "headers: 'A' has characters"),
        ({"headers": {"Content-Length": "1"}}, "headers: Content-Length cannot be changed"),
        ({"headers": {"x-call-id": "1"}}, "headers: x-call-id cannot be changed"),
        ({"headers": {"X-Callback-Url": "h"}}, "headers: X-Callback-Url cannot be changed; say"),
        ({"callback_url": "ftp://h"}, "callback_url: it must be an absolute http"),
    ],
)
def test_edits_that_are_not_understood(door: FrontDoor, edits: object, says: str) -> None:
    """400, naming what it is, and nothing is done."""
    keep(door, letter())
    answer = ask(door, "POST", f"{LETTERS}/1/replay", edits)
    assert answer.status == 400
    assert answer.body.decode().startswith(says)
    assert left(door) == [("f", "1")]


def test_a_callback_may_not_be_sent_where_none_may_go(door: FrontDoor) -> None:
    """403, as for a caller."""
    keep(door, letter())
    door.forbidden = "not there"
    answer = ask(door, "POST", f"{LETTERS}/1/replay", {"callback_url": "http://h.test/"})
    assert (answer.status, answer.body) == (403, b"callback_url: not there\n")
    assert left(door) == [("f", "1")]


def test_a_function_that_is_not_deployed(door: FrontDoor) -> None:
    """409: the call would only wait. It stays a dead letter."""
    keep(door, letter("1", "gone"))
    answer = told(door, "POST", f"{LETTERS}/1/replay", status=409)
    assert answer == {
        "replayed": 0,
        "failed": [
            {
                "id": "1",
                "accept": "0",
                "kind": "call",
                "function": "gone",
                "why": "the function is not deployed now, so the call would only wait",
            }
        ],
    }
    assert left(door) == [("gone", "1")]


def test_all_that_share_an_id_are_replayed(door: FrontDoor) -> None:
    """And it is said how many; those that cannot be are named beside them."""
    keep(door, letter(), letter(accept="x"), letter("1", "gone"), dead_callback())
    answer = told(door, "POST", f"{LETTERS}/1/replay", status=202)
    assert answer["replayed"] == 3
    assert [each["function"] for each in answer["failed"]] == ["gone"]
    assert len(waiting(door)) == 2
    assert len(callbacks(door)) == 1
    assert left(door) == [("gone", "1")]


def test_one_of_those_that_share_an_id_is_replayed(door: FrontDoor) -> None:
    """Its acceptance tells which."""
    keep(door, letter(), letter(accept="x"))
    told(door, "POST", f"{LETTERS}/1/replay?accept=x", status=202)
    assert [call.key.accept for call in waiting(door)] == ["x"]
    assert left(door) == [("f", "1")]


def test_a_replayed_callback_is_the_same_callback(door: FrontDoor) -> None:
    """Another time; it may go elsewhere."""
    keep(door, dead_callback())
    told(door, "POST", f"{LETTERS}/1/replay", status=202)
    assert callbacks(door) == [replace(dead_callback().callback, replays=1)]
    assert left(door) == []
    keep(door, dead_callback())
    told(door, "POST", f"{LETTERS}/1/replay", {"callback_url": "http://new.test/"}, status=202)
    assert [str(each.url) for each in callbacks(door)] == ["http://new.test/"]


@pytest.mark.parametrize(
    ("edits", "why"),
    [
        ({"headers": {"A": "1"}}, "the header fields of a callback are the answer's, and stay"),
        ({"callback_url": None}, "a callback without a URL goes nowhere"),
    ],
)
def test_a_callback_is_not_edited_further(door: FrontDoor, edits: object, why: str) -> None:
    """409, and it stays."""
    keep(door, dead_callback())
    answer = told(door, "POST", f"{LETTERS}/1/replay", edits, status=409)
    assert answer["failed"][0]["why"] == why
    assert left(door) == [("f", "1")]


# -- many


@pytest.mark.parametrize("in_body", [False, True], ids=["query", "body"])
@pytest.mark.parametrize(
    ("query", "replayed"),
    [
        ({"function": "f"}, ["1", "2", "3"]),
        ({"reason": "exhausted"}, ["2"]),
        ({"kind": "call"}, ["1", "2", "3"]),
        ({"function": "f", "limit": 2}, ["1", "2"]),
        ({"all": True}, ["1", "2", "3"]),
    ],
)
def test_many_are_replayed(
    door: FrontDoor, query: dict[str, object], replayed: list[str], in_body: bool
) -> None:
    """Those that the filter means, oldest first."""
    keep(door, letter("1"), letter("2", reason="exhausted"), letter("3"), letter("4", "gone"))
    target, body = f"{LETTERS}/replay", query if in_body else {}
    if not in_body:
        target += "?" + "&".join(f"{name}={str(value).lower()}" for name, value in query.items())
    answer = told(door, "POST", target, body, status=202)
    assert answer["replayed"] == len(replayed)
    assert [call.key.call_id for call in waiting(door)] == replayed


@pytest.mark.parametrize(("query", "filtered"), [("", False), ("all=true&kind=call", True)])
@pytest.mark.parametrize(("method", "path"), [("POST", "/replay"), ("DELETE", "")])
def test_many_are_meant_on_purpose(
    door: FrontDoor, method: str, path: str, query: str, filtered: bool
) -> None:
    """400 without a filter, and with one that contradicts itself."""
    keep(door, letter())
    answer = ask(door, method, f"{LETTERS}{path}?{query}")
    assert answer.status == 400
    assert answer.body.startswith(b"say which dead letters")
    assert left(door) == [("f", "1")]


@pytest.mark.parametrize(
    ("query", "body", "says"),
    [
        ("kind=call", {"kind": "call"}, "kind: stands both in the query and in the body"),
        ("", {"functoin": "f"}, "'functoin' is not known here"),
        ("", {"kind": ["call"]}, "the body: "),
        ("", {"all": True, "limit": 0}, "limit: found '0'"),
    ],
)
def test_a_filter_that_is_not_understood(
    door: FrontDoor, query: str, body: object, says: str
) -> None:
    """400, and nothing is replayed."""
    keep(door, letter())
    answer = ask(door, "POST", f"{LETTERS}/replay?{query}", body)
    assert answer.status == 400
    assert answer.body.decode().startswith(says)
    assert left(door) == [("f", "1")]


def test_many_are_replayed_page_by_page(door: FrontDoor) -> None:
    """As many as there are, and each once."""
    keep(door, *(letter(f"{number}") for number in range(250)))
    answer = told(door, "POST", f"{LETTERS}/replay?function=f", status=202)
    assert answer == {"replayed": 250, "failed": []}
    assert len(waiting(door)) == 250


def test_what_dies_again_meanwhile_stays_dead(door: FrontDoor) -> None:
    """One order replays a call once."""
    keep(door, letter("1"), letter("2"))
    taken: list[str] = []

    def fail(delivery: Delivery[QueueRequest]) -> None:
        delivery.settle()
        taken.append(delivery.parcel.key.call_id)
        keep(door, replace(letter(), request=delivery.parcel))

    door.queue.take_calls(OfFunction("f"), fail, lambda: 1)
    assert told(door, "POST", f"{LETTERS}/replay?all=true", status=202)["replayed"] == 2
    assert taken == ["1", "2"]
    assert left(door) == [("f", "1"), ("f", "2")]


def test_nothing_to_replay(door: FrontDoor) -> None:
    """That is no mistake."""
    answer = told(door, "POST", f"{LETTERS}/replay?function=f", status=202)
    assert answer == {"replayed": 0, "failed": []}


# -- purged


def test_the_letters_of_an_id_are_purged(door: FrontDoor) -> None:
    """All, or the one that is meant; their calls do not run."""
    keep(door, letter(), letter(accept="x"), letter("1", "g"), letter("2"))
    assert told(door, "DELETE", f"{LETTERS}/1?accept=x") == {"purged": 1}
    assert told(door, "DELETE", f"{LETTERS}/1") == {"purged": 2}
    assert left(door) == [("f", "2")]
    assert waiting(door) == []


@pytest.mark.parametrize(
    ("query", "purged"),
    [("function=g", 1), ("kind=callback", 1), ("reason=failed", 2), ("all=1", 3)],
)
def test_many_are_purged(door: FrontDoor, query: str, purged: int) -> None:
    """Those that the filter means."""
    keep(door, letter("1"), letter("2", "g"), dead_callback("3"))
    assert told(door, "DELETE", f"{LETTERS}?{query}") == {"purged": purged}
    assert len(left(door)) == 3 - purged


# -- when the queue does not do its part


def failing(door: FrontDoor, reason: QueueError, after: int = 0) -> None:
    """Have the queue refuse calls, once it has taken *after* of them."""
    put_call, taken = door.queue.put_call, iter(range(after))

    def refuse(call: QueueRequest) -> Deferred[None]:
        return fail(reason) if next(taken, None) is None else put_call(call)

    door.queue.put_call = refuse  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (QueueUnavailable("away"), 503),
        (QueueFull("full"), 503),
        (MaybeStored("no answer"), 504),
        (CallTooLarge(2, 1), 413),
    ],
)
def test_a_replay_that_fails_says_why(door: FrontDoor, reason: QueueError, status: int) -> None:
    """The dead letter stays."""
    keep(door, letter())
    failing(door, reason)
    answer = told(door, "POST", f"{LETTERS}/1/replay", status=status)
    assert answer["replayed"] == 0
    assert answer["failed"][0]["why"] == str(reason)
    assert left(door) == [("f", "1")]


def test_a_replay_that_fails_half_way_says_what_was_done(door: FrontDoor) -> None:
    """And goes no further: what the queue does not take now it will not take at once."""
    keep(door, *(letter(f"{number}") for number in range(250)))
    failing(door, QueueFull("full"), after=40)
    answer = told(door, "POST", f"{LETTERS}/replay?all=true", status=202)
    assert answer["replayed"] == 40
    assert [each["id"] for each in answer["failed"]] == [f"{each}" for each in range(40, 100)]
    assert len(left(door)) == 210


def test_a_replay_that_fails_by_a_bug(door: FrontDoor, failures: Failures) -> None:
    """It is logged once, as the request's failure, however many letters meet it."""
    keep(door, *(letter(f"{number}") for number in range(3)))
    bug = RuntimeError("a bug")
    door.queue.put_call = lambda call: fail(bug)  # type: ignore[method-assign]
    assert ask(door, "POST", f"{LETTERS}/replay?all=true").status == 500
    gc.collect()
    assert failures.take() == [bug]
    assert len(left(door)) == 3


def test_one_that_is_too_large_holds_up_no_other(door: FrontDoor) -> None:
    """It alone stays."""
    keep(door, *(letter(f"{number}") for number in range(150)))
    put_call = door.queue.put_call

    def refuse(call: QueueRequest) -> Deferred[None]:
        return fail(CallTooLarge(2, 1)) if call.key.call_id == "7" else put_call(call)

    door.queue.put_call = refuse  # type: ignore[method-assign]
    answer = told(door, "POST", f"{LETTERS}/replay?all=true", status=202)
    assert answer["replayed"] == 149
    assert left(door) == [("f", "7")]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("GET", "/1"), ("DELETE", "/1"), ("DELETE", "?all=1"), ("POST", "/1/replay")],
)
def test_a_queue_that_cannot_be_asked(door: FrontDoor, method: str, path: str) -> None:
    """503, to be tried again."""

    def away(*about: object) -> Deferred[Any]:
        return fail(QueueUnavailable("away"))

    for name in ("look_through", "purge", "newest"):
        setattr(door.queue.dead_letters, name, away)
    answer = ask(door, method, LETTERS + path)
    assert (answer.status, answer.body) == (503, b"the queue cannot be asked: away\n")
    assert answer.header("Retry-After") == b"1"
