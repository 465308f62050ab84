"""Calls that are too old to begin: expired, or orphaned."""

from __future__ import annotations

from math import inf

import pytest
import worker_house
from twisted.internet.defer import fail
from worker_house import CALLBACK, ORPHAN_TTL_SECONDS, House, call

from faasd_async.errors import NotHandedOver, QueueUnavailable
from faasd_async.queue.interface import OfFunction
from faasd_async.worker.expiry import EARLIEST_NS, is_overdue, is_too_old
from faasd_async.worker.orphans import LOOK_SECONDS
from faasd_async.worker.overdue import MOST_CALLS, SELDOM_SECONDS

NOW_NS = EARLIEST_NS + 10**18
EXPIRES = 60.0


@pytest.fixture
def house(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """Its clock shows the time."""
    monkeypatch.setattr(worker_house, "BEGAN_NS", NOW_NS)
    return house


def ago(seconds: float) -> int:
    return NOW_NS - round(seconds * 1e9)


def test_a_call_that_is_too_old_never_runs(house: House) -> None:
    """It ends as expired: its callback is told, and it is kept whole as a dead letter."""
    house.puts("1", start_time_ns=ago(EXPIRES + 1), callback=CALLBACK)
    house.starts(f={"expires_seconds": EXPIRES})
    assert house.ids == []
    assert house.diary.pages == ["terminal record", "callback", "dead letter", "barrier", "settled"]
    ending = house.ending()
    assert ending is not None
    assert (ending.state, ending.reason, ending.outcome.status) == ("expired", "expired", 504)
    (letter,) = house.dead_letters()
    assert (letter.reason, letter.status) == ("expired", 504)
    assert letter.error == "it had not begun 60 s after it was accepted"
    (callback,) = house.callbacks()
    assert (b"X-Function-Status", b"504") in callback.headers


def test_an_end_without_an_attempt_is_told(house: House) -> None:
    """With its reason: nobody would hear of the call otherwise."""
    house.puts("1", start_time_ns=ago(EXPIRES + 1))
    house.starts(f={"expires_seconds": EXPIRES})
    assert house.watch.attempts == []
    assert house.watch.ends == [("1", "expired", "expired", True)]


def test_a_call_that_is_just_young_enough_runs(house: House) -> None:
    """To the second."""
    house.puts("1", start_time_ns=ago(EXPIRES))
    house.starts(f={"expires_seconds": EXPIRES})
    assert house.ids == ["1"]


def test_a_call_expires_while_it_waits_for_a_token(house: House) -> None:
    """In the worker's hands: it is not waited for until it could begin."""
    house.queue.inherited = True
    house.diary.slow = {"look for an end"}
    house.starts(f={"expires_seconds": EXPIRES, "max_inflight": 1})
    house.puts("1", start_time_ns=NOW_NS)
    house.deployment().tokens.acquire()
    house.diary.slow.clear()
    house.diary.go_on()
    house.passes(EXPIRES - 1)
    assert house.dead_letters() == []
    house.passes(1 + SELDOM_SECONDS)
    assert [each.reason for each in house.dead_letters()] == ["expired"]
    house.deployment().release()
    assert house.ids == []
    assert len(house.dead_letters()) == 1


def test_a_call_expires_while_it_waits_in_the_queue(house: House) -> None:
    """At its time, though its function is full; what comes behind it goes on."""
    house.starts(f={"expires_seconds": EXPIRES, "max_inflight": 1})
    house.puts("1", "2", start_time_ns=NOW_NS)
    house.puts("3", start_time_ns=NOW_NS + 10**12)
    house.passes(EXPIRES + SELDOM_SECONDS)
    assert [each.request.key.call_id for each in house.dead_letters()] == ["2"]
    house.invoked[0].answers()
    assert house.ids == ["1", "3"]


@pytest.mark.parametrize("named", [False, True])
def test_a_call_expires_while_its_function_is_paused(house: House, named: bool) -> None:
    """By its own time, or its function's, however many wait before it that have more of it."""
    house.starts(f={"expires_seconds": inf if named else EXPIRES})
    house.queue.pauses.pause(OfFunction("f"))
    before = [f"before-{number}" for number in range(2 * MOST_CALLS)]
    house.puts(*before, start_time_ns=NOW_NS + 10**15)
    house.puts(
        "1",
        start_time_ns=NOW_NS,
        expires_ns=NOW_NS + round(EXPIRES * 1e9) if named else 0,
        callback=CALLBACK,
    )
    house.passes(EXPIRES - 1)
    assert house.dead_letters() == []
    house.passes(1 + 3 * SELDOM_SECONDS)
    assert [each.request.key.call_id for each in house.dead_letters()] == ["1"]
    assert len(house.callbacks()) == 1
    house.queue.pauses.resume(OfFunction("f"))
    assert len(house.ids) > 0
    assert "1" not in house.ids


@pytest.mark.parametrize("crashes", [False, True])
def test_a_call_that_may_have_begun_is_left_alone(house: House, crashes: bool) -> None:
    """It runs; or whoever ran it is gone, and nobody noted that it came back untried."""
    house.starts(f={"expires_seconds": EXPIRES, "max_inflight": 1})
    house.puts("1", start_time_ns=NOW_NS)
    house.queue.pauses.pause(OfFunction("f"))
    if crashes:
        house.crashes()
    house.passes(EXPIRES + 2 * SELDOM_SECONDS)
    assert house.ids == ["1"]
    assert house.dead_letters() == []


def test_what_cannot_be_looked_for_now_is_looked_for_again(house: House) -> None:
    """The queue is away for a while."""
    house.starts(f={"expires_seconds": EXPIRES})
    house.queue.pauses.pause(OfFunction("f"))
    house.puts("1", start_time_ns=NOW_NS)
    house.diary.refusals["terminal record"] = QueueUnavailable("away")
    house.passes(EXPIRES + 2 * SELDOM_SECONDS)
    assert house.dead_letters() == []
    house.diary.refusals.clear()
    house.passes(SELDOM_SECONDS)
    assert [each.reason for each in house.dead_letters()] == ["expired"]


def test_a_call_that_cannot_be_handed_over_expires(house: House) -> None:
    """It is tried until then."""
    house.starts(f={"expires_seconds": EXPIRES})
    house.puts("1", start_time_ns=NOW_NS)
    for _ in range(100):
        for each in house.running:
            each.fails(NotHandedOver("refused"))
        house.passes(1)
    assert len(house.invoked) > 2
    assert [each.reason for each in house.dead_letters()] == ["expired"]


def test_it_is_told_when_its_time_is_over(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not when it would have been tried again."""
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    house.starts(f={"expires_seconds": 45.0})
    house.puts("1", start_time_ns=NOW_NS)
    for _ in range(45):
        for each in house.running:
            each.fails(NotHandedOver("refused"))
        house.passes(1)
    assert house.dead_letters() == []
    house.passes(0.1)
    assert [each.reason for each in house.dead_letters()] == ["expired"]


def test_a_call_that_has_begun_does_not_expire(house: House) -> None:
    """Its retries may take longer."""
    house.starts(f={"expires_seconds": 3.0})
    house.puts("1", start_time_ns=NOW_NS)
    house.invoked[0].answers(503)
    house.passes(10)
    assert house.ids == ["1", "1"]


@pytest.mark.parametrize(
    ("accepted_ns", "now_ns"),
    [
        (0, NOW_NS),
        (EARLIEST_NS - 1, NOW_NS),
        (NOW_NS, 0),
        (NOW_NS, EARLIEST_NS - 1),
        (NOW_NS, NOW_NS - 10**18),
        (10**9, 10**18),
    ],
)
def test_a_clock_that_is_obviously_wrong_expires_nothing(accepted_ns: int, now_ns: int) -> None:
    """Now, or when the call was accepted: a Raspberry Pi knows no time until it is told."""
    assert not is_too_old(call("1", start_time_ns=accepted_ns), 1.0, now_ns)


def test_a_call_whose_function_is_gone_is_an_orphan_in_the_end(house: House) -> None:
    """Where one lane brings the calls of a whole queue: 404, and dead."""
    house.static = True
    house.starts(g={})
    house.puts("1", start_time_ns=ago(ORPHAN_TTL_SECONDS + 1), callback=CALLBACK)
    ending = house.ending()
    assert ending is not None
    assert (ending.state, ending.reason, ending.outcome.status) == ("dead", "orphaned", 404)
    assert [each.reason for each in house.dead_letters()] == ["orphaned"]
    assert len(house.callbacks()) == 1
    assert house.left() == []


def test_an_orphan_waits_for_its_function(house: House) -> None:
    """For as long as was asked, and then runs."""
    house.static = True
    house.starts(g={})
    house.puts("1", start_time_ns=ago(ORPHAN_TTL_SECONDS - 1000))
    house.passes(100)
    assert house.dead_letters() == []
    house.deploys(f={}, g={})
    house.passes(60)
    assert house.ids == ["1"]


def test_an_orphan_is_looked_at_when_its_time_is_over(house: House) -> None:
    """However often it went back before, and however long it would wait otherwise."""
    house.static = True
    house.starts(g={})
    house.puts("1", start_time_ns=ago(ORPHAN_TTL_SECONDS - 70))
    house.passes(69.5)
    assert house.dead_letters() == []
    house.passes(1)
    assert [each.reason for each in house.dead_letters()] == ["orphaned"]


def test_orphans_that_nobody_asks_for_are_looked_for(house: House) -> None:
    """A function of its own has a lane of its own: without it the old ones are taken, one after
    the other, and those that may still wait are left in peace."""
    house.starts(g={})
    house.puts("1", "2", start_time_ns=ago(ORPHAN_TTL_SECONDS))
    house.puts("3", "4", start_time_ns=NOW_NS)
    house.puts("5", function="g", start_time_ns=NOW_NS)
    assert house.ids == ["5"]
    house.passes(LOOK_SECONDS * 3)
    assert [each.request.key.call_id for each in house.dead_letters()] == ["1", "2"]
    assert house.diary.pages.count("given back") == 1
    assert sorted(house.left()) == ["3", "4"]


def test_orphans_whose_function_comes_back_run(house: House) -> None:
    """Each once, on its own lane, from the look on that had them taken."""
    house.diary.refusals = {"terminal record": QueueUnavailable("away")}
    house.starts(g={})
    house.puts("1", "2", start_time_ns=ago(ORPHAN_TTL_SECONDS))
    house.passes(LOOK_SECONDS)
    house.deploys(f={"expires_seconds": 10 * ORPHAN_TTL_SECONDS}, g={})
    assert house.ids == ["2"]
    house.refuses()
    house.passes(5)
    assert [each.request.key.call_id for each in house.dead_letters()] == ["1"]
    assert house.ids == ["2"]


def test_orphans_are_looked_for_again_when_the_queue_is_away(house: House) -> None:
    """And until then nothing happens."""
    house.starts(g={})
    house.puts("1", start_time_ns=ago(ORPHAN_TTL_SECONDS))
    backlog = house.queue.part.backlog
    oldest_ns = backlog.oldest_ns
    backlog.oldest_ns = lambda _: fail(QueueUnavailable("away"))
    house.passes(LOOK_SECONDS)
    assert house.dead_letters() == []
    backlog.oldest_ns = oldest_ns
    house.passes(LOOK_SECONDS)
    assert len(house.dead_letters()) == 1


# -- the time that its caller has named


def test_a_call_is_not_begun_after_the_time_its_caller_named(house: House) -> None:
    """It ends as expired, and its callback is told why."""
    house.puts("1", start_time_ns=ago(10), expires_ns=ago(1), callback=CALLBACK)
    house.puts("2", start_time_ns=ago(10), expires_ns=NOW_NS)
    house.starts(f={"expires_seconds": EXPIRES})
    assert house.ids == ["2"]
    (letter,) = house.dead_letters()
    assert (letter.reason, letter.status) == ("expired", 504)
    assert letter.error.startswith("it had not begun by 20")
    assert len(house.callbacks()) == 1


def test_the_earlier_of_both_times_counts(house: House) -> None:
    """The function's limit is one, whatever a caller asks for."""
    house.puts("1", start_time_ns=ago(EXPIRES + 1), expires_ns=NOW_NS + 10**12)
    house.starts(f={"expires_seconds": EXPIRES})
    assert (house.ids, len(house.dead_letters())) == ([], 1)


def test_a_call_that_has_begun_is_not_overdue(house: House) -> None:
    """Its retries may take longer."""
    house.starts(f={})
    house.puts("1", start_time_ns=NOW_NS, expires_ns=NOW_NS + 10**9)
    house.invoked[0].answers(503)
    house.passes(10)
    assert house.ids == ["1", "1"]


def test_a_call_that_was_put_off_is_as_old_as_its_wait(house: House) -> None:
    """Its age counts from when it was due, not from when it was accepted."""
    house.puts("1", start_time_ns=ago(10 * EXPIRES), not_before_ns=ago(EXPIRES))
    house.puts("2", start_time_ns=ago(10 * EXPIRES), not_before_ns=ago(EXPIRES + 1))
    house.starts(f={"expires_seconds": EXPIRES})
    assert house.ids == ["1"]
    assert [each.error for each in house.dead_letters()] == [
        "it had not begun 60 s after it was due"
    ]


def test_a_call_of_a_function_that_is_gone_is_overdue_too(house: House) -> None:
    """It ends as expired, without waiting for its function."""
    house.static = True
    house.starts(g={})
    house.puts("1", start_time_ns=ago(10), expires_ns=ago(1))
    assert [each.reason for each in house.dead_letters()] == ["expired"]


@pytest.mark.parametrize(
    ("accepted_ns", "expires_ns", "now_ns", "over"),
    [
        (NOW_NS, NOW_NS - 1, NOW_NS, True),
        (NOW_NS, 1, NOW_NS, True),
        (10**9, NOW_NS, NOW_NS + 1, True),
        (10**9, 61 * 10**9, NOW_NS, False),
        (NOW_NS, NOW_NS + 10**9, 10**9, False),
        (NOW_NS, 0, NOW_NS, False),
    ],
)
def test_a_time_is_believed_that_a_clock_with_sense_has_set(
    accepted_ns: int, expires_ns: int, now_ns: int, over: bool
) -> None:
    """What was reckoned from 1970 on says nothing later, and in 1970 nothing is past."""
    assert is_overdue(call("1", start_time_ns=accepted_ns, expires_ns=expires_ns), now_ns) is over
