"""One attempt: what a function is given, and what becomes of what it does with it."""

from __future__ import annotations

import pytest
from worker_house import BEGAN_NS, CALLBACK, House, call

from faasd_async.call.http_form import StoredFields
from faasd_async.errors import InvocationBroken, InvocationError, InvocationTimedOut


def test_a_function_is_given_the_call_as_it_was_accepted(house: House) -> None:
    """Target, fields in their order and case, body; and which attempt it is."""
    house.starts(f={"async_timeout_seconds": 77.0})
    fields = [(b"B", b"2"), (b"a", b"1"), (b"B", b"3")]
    house.puts(call("1", target=b"/x%2Fy?z=%ff", headers=fields, body=b"\0\xff"))
    (invoked,) = house.invoked
    invocation = invoked.invocation
    assert (invocation.function, invocation.call_id, invocation.method) == ("f", "1", b"POST")
    assert (invocation.target, invocation.body) == (b"/x%2Fy?z=%ff", b"\0\xff")
    assert invocation.headers == [*fields, (b"X-Attempt", b"1")]
    assert invoked.timeout_seconds == 77.0


@pytest.mark.parametrize("stored", [False, True])
def test_a_caller_does_not_say_which_attempt_it_is(house: House, stored: bool) -> None:
    """A function that looks at the first such field would believe that it has seen the call."""
    fields = [(b"x-attempt", b"7"), (b"A", b"X-Attempt"), (b"X-Attempt", b"8")]
    lines = b"".join([b"\r\n%b: %b" % field for field in fields])
    house.starts(f={})
    house.puts(call("1", headers=StoredFields(lines) if stored else fields))
    (invoked,) = house.invoked
    assert invoked.invocation.headers == [(b"A", b"X-Attempt"), (b"X-Attempt", b"1")]


def test_the_whole_answer_is_the_outcome(house: House) -> None:
    """Status, fields and body, and how long it took."""
    house.starts(f={})
    house.puts("1")
    house.passes(3)
    house.invoked[0].answers(201, [(b"X-A", b"b")], b"made")
    ending = house.ending()
    assert ending is not None
    outcome = ending.outcome
    assert (outcome.status, outcome.headers, outcome.body) == (201, [(b"X-A", b"b")], b"made")
    assert (outcome.duration_seconds, outcome.error) == (3.0, "")
    assert ending.ended_ns == BEGAN_NS + 3 * 10**9
    (attempt,) = ending.history.attempts
    assert (attempt.at_ns, attempt.status, attempt.seconds) == (BEGAN_NS, 201, 3.0)


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (InvocationTimedOut("too slow"), 504),
        (InvocationBroken("cut off"), 502),
        (InvocationError("odd"), 502),
    ],
    ids=repr,
)
def test_no_answer_is_an_outcome_too(house: House, reason: InvocationError, status: int) -> None:
    """With the status that tells so, and the reason in words; it is not tried again."""
    house.starts(f={})
    house.puts("1")
    house.invoked[0].fails(reason)
    ending = house.ending()
    assert ending is not None
    assert (ending.state, ending.reason) == ("failed", "failed")
    assert (ending.outcome.status, ending.outcome.body) == (status, b"")
    assert ending.outcome.error == ending.history.attempts[0].error == str(reason)
    (letter,) = house.dead_letters()
    assert (letter.status, letter.error) == (status, str(reason))


def test_an_answer_that_breaks_off_is_none(house: House) -> None:
    """Half of it is not handed on."""
    house.starts(f={})
    house.puts("1", callback=CALLBACK)
    house.invoked[0].answers(200, body=b"hal", broken=InvocationBroken("cut off"))
    (told,) = house.callbacks()
    assert told.body == b""
    assert (b"X-Function-Status", b"502") in told.headers


@pytest.mark.parametrize(
    ("most", "kept", "said"),
    [({"function": 99}, 99, "over the 99 bytes"), ({"queue": 99}, 90, "no more than 99 bytes")],
)
def test_an_answer_larger_than_can_be_kept_is_none(
    house: House, most: dict[str, int], kept: int, said: str
) -> None:
    """The function's own limit is of the body alone, as for who waits for it; the queue's, where it
    has no place for more, is of what a message holds: the fields count."""
    house.queue.largest_call_bytes = most.get("queue", 1000)
    house.starts(f={"max_body_bytes": most.get("function", 1000)})
    house.puts("1", "2")
    house.invoked[0].answers(headers=[(b"Name", b"value")], body=b"x" * kept)
    house.invoked[1].answers(headers=[(b"Name", b"value")], body=b"x" * (kept + 1))
    fits, over = house.ending("1"), house.ending("2")
    assert fits is not None
    assert over is not None
    assert (fits.state, len(fits.outcome.body)) == ("succeeded", kept)
    assert (over.state, over.outcome.status, over.outcome.body) == ("failed", 502, b"")
    assert said in over.outcome.error
