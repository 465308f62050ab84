"""The asynchronous door: what is written down, and what its caller is told."""

from __future__ import annotations

import re

import pytest
from front_door import ACCEPT_DEADLINE_SECONDS, NOW_NS, OWN_PORT, Failures, FrontDoor, request

from faasd_async.errors import CallTooLarge, MaybeStored, QueueFull, QueueUnavailable

TARGET = "/async-function/f"
CALLBACK_HEADERS = ("X-Callback-Url", "X-Callback-On-Failure")


def test_a_receipt_names_the_call(door: FrontDoor) -> None:
    """202, empty, with the id that was drawn, the time, and where the call can be asked after."""
    answer = door.ask("POST", TARGET, body=b"x").answer()
    (stored,) = door.store.requests
    assert (answer.status, answer.body) == (202, b"")
    assert answer.header("Content-Length") == b"0"
    assert answer.header("X-Call-Id") == stored.key.call_id.encode()
    assert answer.header("X-Start-Time") == b"%d" % NOW_NS
    assert answer.header("Location") == b"/call/" + stored.key.call_id.encode()


def test_the_daemon_serves_and_does_not_say_what_it_is_built_on(door: FrontDoor) -> None:
    """``X-Served-By`` instead of ``Server``, and no type for a body that is not there."""
    answer = door.ask("POST", TARGET).answer()
    assert (answer.header("X-Served-By") or b"").startswith(b"faasd-async/")
    assert answer.header("Server") is None
    assert answer.header("Content-Type") is None


def test_what_is_written_down(door: FrontDoor) -> None:
    """Function, queue, time, raw target, body, and the header lines in order and case."""
    door.ask(
        "POST",
        "/async-function/f.openfaas-fn/a%2Fb//c?x=%ff&y",
        "x-lower: 1",
        "X-Twice: a",
        "X-Empty:",
        "X-Twice: \tb  ",
        body=b"\x00\r\n\r\nbody",
    )
    (stored,) = door.store.requests
    assert (stored.function, stored.queue, stored.start_time_ns) == ("f", "slow", NOW_NS)
    assert stored.target == b"/a%2Fb//c?x=%ff&y"
    assert stored.body == b"\x00\r\n\r\nbody"
    assert stored.callback is None
    assert list(stored.headers) == [
        (b"x-lower", b"1"),
        (b"X-Twice", b"a"),
        (b"X-Empty", b""),
        (b"X-Twice", b"b"),
        (b"X-Call-Id", stored.key.call_id.encode()),
        (b"X-Start-Time", b"%d" % NOW_NS),
        (b"X-Forwarded-Host", b"gateway.test"),
        (b"X-Forwarded-For", b"192.0.2.7:40123"),
    ]
    assert door.accepted == [stored]


def test_nothing_is_said_before_the_call_is_stored(door: FrontDoor) -> None:
    """The 202 waits for the queue's promise."""
    door.store.at_once = False
    client = door.ask("POST", TARGET)
    assert (client.received, door.accepted) == (b"", [])
    door.store.answers[0].callback(None)
    assert client.answer().status == 202


def test_a_caller_may_choose_the_id(door: FrontDoor) -> None:
    """It is kept as it is; in a URL its odd characters are escaped."""
    answer = door.ask("POST", TARGET, "X-Call-Id: my/own-id?").answer()
    assert answer.header("X-Call-Id") == b"my/own-id?"
    assert answer.header("Location") == b"/call/my%2Fown-id%3F"
    assert door.store.requests[0].key.accept != "0"


def test_the_time_is_not_the_callers_to_say(door: FrontDoor) -> None:
    """The function sees when the call came, and sees it once."""
    door.ask("POST", TARGET, "x-start-time: 7")
    times = [
        value for name, value in door.store.requests[0].headers if name.lower() == b"x-start-time"
    ]
    assert times == [b"%d" % NOW_NS]


@pytest.mark.parametrize("chosen", ["", "two words", "caf\xe9"])
def test_an_id_that_is_none_is_replaced(door: FrontDoor, chosen: str) -> None:
    """Whoever sends something else than visible ASCII gets an id drawn."""
    answer = door.ask("POST", TARGET, f"X-Call-Id: {chosen}").answer()
    assert len(answer.header("X-Call-Id") or b"") == 36


def test_an_id_may_be_too_long(door: FrontDoor) -> None:
    """400, and how long it may be; nothing was stored."""
    answer = door.ask("POST", TARGET, f"X-Call-Id: {'i' * 129}").answer()
    assert answer.status == 400
    assert answer.body == (
        b"X-Call-Id: '%b'\xe2\x80\xa6 is of 129 bytes; 1 to 128 are allowed, and each that is no"
        b" letter, digit or hyphen counts as three\n" % (b"i" * 40)
    )
    assert door.store.requests == []


@pytest.mark.parametrize("name", ["g", "f.other", "f.openfaas-fn.openfaas-fn", ".openfaas-fn"])
def test_an_unknown_function(door: FrontDoor, name: str) -> None:
    """404, by its name, whatever else is wrong."""
    answer = door.ask("POST", f"/async-function/{name}", "X-Callback-Url: no").answer()
    assert (answer.status, answer.body) == (404, f"no function is called {name}\n".encode())


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "TRACE", "post", "Post"])
def test_only_post(door: FrontDoor, method: str) -> None:
    """405 with what is allowed; methods are told apart by case."""
    answer = door.ask(method, TARGET).answer()
    assert (answer.status, answer.header("Allow")) == (405, b"POST, DELETE")
    assert door.store.requests == []


def test_a_url_for_failures_is_kept(door: FrontDoor) -> None:
    """Beside the other one or alone, and with the call's headers."""
    door.ask("POST", TARGET, "X-Callback-On-Failure: http://me:secret@caller.test/failed")
    (stored,) = door.store.requests
    assert stored.callback is None
    assert stored.on_failure is not None
    assert stored.on_failure.text == "http://me:secret@caller.test/failed"
    assert (b"X-Callback-On-Failure", b"http://me:secret@caller.test/failed") in stored.headers


def test_a_callback_url_is_kept(door: FrontDoor) -> None:
    """With its credentials, for whoever delivers the callback, and with the call's headers."""
    door.ask("POST", TARGET, "X-Callback-Url: http://me:secret@caller.test/back?x=1")
    (stored,) = door.store.requests
    assert stored.callback is not None
    assert stored.callback.text == "http://me:secret@caller.test/back?x=1"


def test_an_empty_callback_url_is_none(door: FrontDoor) -> None:
    """As if the header were not there."""
    assert door.ask("POST", TARGET, "X-Callback-Url:").answer().status == 202
    assert door.store.requests[0].callback is None


@pytest.mark.parametrize("name", CALLBACK_HEADERS)
@pytest.mark.parametrize(
    "url",
    [
        "/relative",
        "ftp://h/",
        "http://",
        "http://h:p/",
        "http://u:s3cret@h:p/",
        "https://u:s3cret@no_host/",
        "http://[v1.a]/",
        "http://[::1/x",
        "http://[::1]x/",
    ],
)
def test_a_malformed_callback_url(door: FrontDoor, url: str, name: str) -> None:
    """400, which says what is wrong and repeats no credentials; so too where none can go."""
    answer = door.ask("POST", TARGET, f"{name}: {url}").answer()
    said = f"{name}: ".encode()
    assert (answer.status, answer.body[: len(said)]) == (400, said)
    assert b"s3cret" not in answer.body
    assert door.store.requests == []


@pytest.mark.parametrize("name", CALLBACK_HEADERS)
def test_a_forbidden_callback_url(door: FrontDoor, name: str) -> None:
    """403 with the policy's reason."""
    door.forbidden = "not there"
    answer = door.ask("POST", TARGET, f"{name}: http://h/").answer()
    assert (answer.status, answer.body) == (403, f"{name}: not there\n".encode())
    assert door.store.requests == []


@pytest.mark.parametrize("name", CALLBACK_HEADERS)
@pytest.mark.parametrize("route", ["async-function/g", "function/g/deep?x=1", "function/g.other"])
def test_a_callback_for_a_function_that_is_not_there(
    door: FrontDoor, name: str, route: str
) -> None:
    """400, and which: it would be tried for hours before anybody heard of a slip of the pen."""
    url = f"http://localhost:{OWN_PORT}/{route}"
    answer = door.ask("POST", TARGET, f"{name}: {url}").answer()
    missing = re.split("[/?]", route)[1]
    said = f"{name}: no function is called {missing}\n"
    assert (answer.status, answer.body.decode()) == (400, said)
    assert door.store.requests == []


@pytest.mark.parametrize(
    "url",
    [
        f"http://localhost:{OWN_PORT}/async-function/f/deep?x=1",
        f"http://127.0.0.1:{OWN_PORT}/function/f.openfaas-fn",
        f"http://elsewhere.test:{OWN_PORT}/async-function/g",
        f"http://localhost:{OWN_PORT + 1}/async-function/g",
    ],
)
def test_a_callback_for_a_function_that_is_there_or_elsewhere(door: FrontDoor, url: str) -> None:
    """Of others nobody here can tell."""
    assert door.ask("POST", TARGET, f"X-Callback-Url: {url}").answer().status == 202


def test_a_callback_for_a_function_that_may_be_starting(door: FrontDoor) -> None:
    """It is taken at its word."""
    door.complete = False
    url = f"http://localhost:{OWN_PORT}/async-function/g"
    assert door.ask("POST", TARGET, f"X-Callback-Url: {url}").answer().status == 202


@pytest.mark.parametrize("refusal", [QueueUnavailable("it is away"), QueueFull("it is full")])
def test_the_queue_takes_nothing_now(door: FrontDoor, refusal: Exception) -> None:
    """503 with the reason and when to try again; no id, for there is no call."""
    door.store.refusal = refusal
    answer = door.ask("POST", TARGET).answer()
    assert (answer.status, answer.header("Retry-After")) == (503, b"1")
    assert str(refusal).encode() in answer.body
    assert answer.header("X-Call-Id") is None
    assert door.accepted == []


def test_there_is_no_room_for_it(door: FrontDoor) -> None:
    """507 with the reason, before anything is stored; a synchronous call needs no room."""
    door.full = "1.0 MiB of disk are free, and 256.0 MiB have to stay free"
    answer = door.ask("POST", TARGET, body=b"123").answer()
    assert (answer.status, answer.header("Retry-After")) == (507, b"10")
    assert answer.body == b"no new call is stored: " + door.full.encode() + b"\n"
    assert (door.coming, door.store.requests, door.accepted) == ([3], [], [])


def test_the_queue_may_have_taken_it(door: FrontDoor) -> None:
    """504 with the call's id: it may still run."""
    door.store.refusal = MaybeStored()
    answer = door.ask("POST", TARGET, "X-Call-Id: mine").answer()
    assert (answer.status, answer.header("X-Call-Id")) == (504, b"mine")
    assert answer.header("X-Start-Time") == b"%d" % NOW_NS
    assert (answer.header("Retry-After"), answer.header("Location")) == (None, None)
    assert door.accepted == []


def test_the_queue_finds_it_too_large(door: FrontDoor) -> None:
    """413 with the queue's limit."""
    door.store.refusal = CallTooLarge(900, 800)
    answer = door.ask("POST", TARGET).answer()
    assert (answer.status, answer.body) == (
        413,
        b"a body of at most 800 bytes is accepted here\n",
    )


def test_the_queue_has_a_bug(door: FrontDoor, failures: Failures) -> None:
    """500 without details, which go to the log."""
    bug = RuntimeError("secret detail")
    door.store.refusal = bug
    answer = door.ask("POST", TARGET).answer()
    assert (answer.status, answer.body) == (500, b"the daemon failed; its log says why\n")
    assert failures.take() == [bug]


def test_the_deadline(door: FrontDoor) -> None:
    """504 with the call's id, at the deadline and not before."""
    door.store.at_once = False
    client = door.ask("POST", TARGET, "X-Call-Id: mine")
    door.clock.advance(ACCEPT_DEADLINE_SECONDS - 0.01)
    assert client.received == b""
    door.clock.advance(0.01)
    answer = client.answer()
    assert (answer.status, answer.header("X-Call-Id")) == (504, b"mine")


@pytest.mark.parametrize("failure", [None, QueueUnavailable("late")])
def test_after_the_deadline_nothing_more_is_said(
    door: FrontDoor, failure: Exception | None
) -> None:
    """However the queue answers then: no second answer, no error nobody handles."""
    door.store.at_once = False
    client = door.ask("POST", TARGET)
    door.clock.advance(ACCEPT_DEADLINE_SECONDS)
    if failure is None:
        door.store.answers[0].callback(None)
    else:
        door.store.answers[0].errback(failure)
    assert client.answer().status == 504
    assert door.accepted == []


def test_the_connection_goes_on_after_the_deadline(door: FrontDoor) -> None:
    """The next call on it gets its own answer, even if the first is stored only then."""
    door.store.at_once = False
    client = door.ask("POST", TARGET)
    door.clock.advance(ACCEPT_DEADLINE_SECONDS)
    client.send(request("POST", TARGET))
    door.store.answers[0].callback(None)
    door.store.answers[1].callback(None)
    assert [each.status for each in client.answers()] == [504, 202]
    assert door.accepted == door.store.requests[1:]


def test_a_caller_may_leave_while_the_call_is_stored(door: FrontDoor) -> None:
    """Nobody is left to be told, and nothing goes wrong over it."""
    door.store.at_once = False
    client = door.ask("POST", TARGET)
    client.leaves()
    door.store.answers[0].callback(None)
    assert client.received == b""


@pytest.mark.parametrize("target", [TARGET, "/function/f"])
def test_while_the_functions_are_starting(door: FrontDoor, target: str) -> None:
    """503 with when to come again: the one that is asked for may be there in a moment."""
    functions = dict(door.deployments)
    door.deployments.clear()
    door.complete = False
    answer = door.ask("POST", target).answer()
    assert (answer.status, answer.header("Retry-After")) == (503, b"1")
    door.deployments.update(functions)
    door.complete = True
    assert door.ask("POST", TARGET).answer().status == 202
