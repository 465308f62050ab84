"""An end that cannot be stored as it is is told shorter, and never over and over again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail
from worker_house import CALLBACK, House, call

from faasd_async.errors import CallTooLarge
from faasd_async.settings import RetrySettings

#: Where an end goes, and how much of what is written there an ending is.
STEPS: dict[str, tuple[str, str]] = {
    "record": ("records", "record_ending"),
    "callback": ("", "put_callback"),
    "dead letter": ("dead_letters", "put"),
}


def takes(house: House, step: str, wanted: Callable[[Any], bool]) -> list[Any]:
    """Have a step fail for whatever is not wanted.

    :return: takes what has been stored.
    """
    room, method = STEPS[step]
    part = getattr(house.queue, room).part if room else house.queue.part
    put, stored = getattr(part, method), []

    def choosy(*about: Any) -> Deferred[Any]:
        said = about[1] if step == "record" else about[0]
        if not wanted(said):
            return fail(CallTooLarge(9, 8))
        stored.append(said)
        result: Deferred[Any] = put(*about)
        return result

    setattr(part, method, choosy)
    return stored


def test_a_record_without_its_answer(house: House) -> None:
    """It says why there is none."""
    house.starts(f={})
    stored = takes(house, "record", lambda ending: not ending.outcome.body)
    house.puts(call("1"))
    house.invoked[0].answers(200, body=b"much")
    (ending,) = stored
    assert (ending.state, ending.outcome.status) == ("succeeded", 502)
    assert ending.outcome.error == "the answer, 4 bytes, is more than the queue can store"
    assert house.diary.pages[-1] == "settled"


def test_a_record_with_fewer_attempts(house: House) -> None:
    """The last ones are told, and the answer stays."""
    policy = RetrySettings(attempts=15, min_wait_seconds=1, max_wait_seconds=1)
    house.starts(f={"retry": policy})
    stored = takes(house, "record", lambda ending: len(ending.history.attempts) < 12)
    house.puts(call("1"))
    for number in range(15):
        house.invoked[number].answers(503, body=b"much")
        house.passes(1)
    (ending,) = stored
    assert len(ending.history.attempts) == 10
    assert ending.outcome.body == b"much"


def test_a_callback_without_the_answer(house: House) -> None:
    """It does not pretend that the answer was empty."""
    house.starts(f={})
    stored = takes(house, "callback", lambda callback: not callback.body)
    house.puts(call("1", callback=CALLBACK))
    house.invoked[0].answers(200, body=b"much")
    (callback,) = stored
    assert (b"X-Function-Status", b"502") in callback.headers
    assert house.diary.pages[-1] == "settled"


@pytest.mark.parametrize("step", STEPS)
def test_what_cannot_be_stored_at_all(house: House, step: str) -> None:
    """The log says so, and the call is over all the same."""
    house.starts(f={})
    takes(house, step, lambda _: False)
    house.puts(call("1", callback=CALLBACK))
    house.invoked[0].answers(500)
    assert house.diary.pages[-1] == "settled"
    told = [event for event in house.events if "cannot be stored" in event["log_format"]]
    assert len(told) == 3
    # The next looks: for orphans, and for what is overdue.
    assert len(house.clock.getDelayedCalls()) == 2


def test_a_call_that_is_too_large_to_be_put_off(house: House) -> None:
    """It waits where it is, a lease at a time."""
    house.starts(f={"retry": RetrySettings(min_wait_seconds=100, backoff="exponential")})
    house.refuses("put off", reason=CallTooLarge(9, 8))
    house.puts(call("1"))
    house.invoked[0].answers(503)
    assert "given back" in house.diary.pages
    assert len(house.invoked) == 1
