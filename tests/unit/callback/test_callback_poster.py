"""The poster: one delivery, one try; what is noted, and when a callback comes again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import pytest
from msgspec.structs import replace
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, capturedLogs

from faasd_async.call.callback_url import parse
from faasd_async.call.ending import DeadCallback
from faasd_async.call.history import FAILED_INSIDE
from faasd_async.call.ids import CallKey
from faasd_async.call.posting import Posting
from faasd_async.call.request import CallbackRequest
from faasd_async.callback.poster import Poster
from faasd_async.callback.receivers import FAILURES_UNTIL_REST, SLOTS, Receivers
from faasd_async.callback.schedule import Schedule
from faasd_async.callback.tried import Try
from faasd_async.errors import QueueUnavailable
from faasd_async.queue.interface import Delivery, Queue, Selection
from faasd_async.queue.leases import Leases
from faasd_async.queue.memory import MemoryQueue

LEASE_SECONDS = 30.0
NOW = 1_700_000_000
MOST = 40
ALL = Selection()
SCHEDULE = Schedule(attempts=3, min_wait_seconds=5.0, max_wait_seconds=100.0)
LONGEST_FIRST_WAIT = 6.0

T = TypeVar("T")


def result_of(deferred: Deferred[T]) -> T:
    results: list[T] = []
    deferred.addCallback(results.append)
    (result,) = results
    return result


def callback(call_id: str, url: str = "http://h/", **changes: Any) -> CallbackRequest:
    letter = CallbackRequest("f", CallKey(call_id, "0"), parse(url.encode()), (), b"told")
    return replace(letter, **changes)


@dataclass
class Sending:
    """A try under way."""

    callback: CallbackRequest
    tried: Deferred[Try]

    def ends(self, status: int = 200, error: str = "", retry_after: bytes | None = None) -> None:
        self.tried.callback(Try(status, 0.001, error, retry_after))


class House:
    """A poster on a clock, whose tries end when the test says so.

    :ivar told: what it has told its observer.
    :ivar events: what was logged.
    """

    def __init__(self, events: list[LogEvent]) -> None:
        self.events = events
        self.clock = Clock()
        self.queue = MemoryQueue(self.clock, LEASE_SECONDS)
        self.receivers = Receivers(self.clock, MOST)
        self.sendings: list[Sending] = []
        self.told: list[tuple[Any, ...]] = []
        self.keeps_dead_letters = True
        self.poster = self.new_poster(self.queue)

    def new_poster(self, queue: MemoryQueue) -> Poster:
        return Poster(
            self.clock,
            cast(Queue, queue),
            Leases(self.clock, LEASE_SECONDS),
            self,
            self.receivers,
            SCHEDULE,
            max_inflight=MOST,
            keeps_dead_letters=lambda function: self.keeps_dead_letters,
            now_ns=lambda: self.now_ns,
            observer=self,
        )

    # -- the sender's and the observer's part

    def send(self, parcel: CallbackRequest) -> Deferred[Try]:
        self.sendings.append(Sending(parcel, Deferred()))
        return self.sendings[-1].tried

    def called_back(self, parcel: CallbackRequest, status: int, seconds: float) -> None:
        self.told.append(("called back", parcel.key.call_id, status))

    def callback_failed(
        self, parcel: CallbackRequest, reason: str, tries: int, again_seconds: float
    ) -> None:
        self.told.append(("failed", parcel.key.call_id, reason, tries, round(again_seconds)))

    def callback_given_up(self, parcel: CallbackRequest, reason: str, tries: int) -> None:
        self.told.append(("given up", parcel.key.call_id, reason, tries))

    # -- the test's

    @property
    def now_ns(self) -> int:
        return round((NOW + self.clock.seconds()) * 10**9)

    def put(self, *parcels: CallbackRequest) -> None:
        for parcel in parcels:
            result_of(self.queue.put_callback(parcel))
        self.passes(0)

    def passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.clock.advance(0)

    @property
    def sent(self) -> list[str]:
        return [each.callback.key.call_id for each in self.sendings]

    def note(self, parcel: CallbackRequest) -> Posting | None:
        return result_of(self.queue.records.find_posting(parcel.name))

    def dead(self) -> list[DeadCallback]:
        page = result_of(self.queue.dead_letters.look_through(ALL, 0, 100))
        return [cast(DeadCallback, filed.letter) for filed in page.letters]

    def waiting(self) -> list[CallbackRequest]:
        """What is in the queue, in hand included, once everything has come back to it."""
        self.poster.stop_taking()
        self.poster.give_up()
        self.passes(2000)
        taken: list[Delivery[CallbackRequest]] = []
        subscription = self.queue.take_callbacks(taken.append, lambda: 1000 - len(taken))
        subscription.stop()
        return [each.parcel for each in taken]


@pytest.fixture
def house() -> Iterator[House]:
    with capturedLogs() as events:
        house = House(events)
        house.poster.start()
        yield house
        house.poster.stop_taking()
        house.poster.give_up()
        assert house.poster.when_idle().called
        assert house.queue.stop().called
        assert house.clock.getDelayedCalls() == []
        assert failures(events) == []


def failures(events: list[LogEvent]) -> list[LogEvent]:
    return [event for event in events if event["log_level"] >= LogLevel.critical]


ONE = callback("1")


def test_a_callback_is_delivered(house: House) -> None:
    """Noted as such, and gone from the queue."""
    house.put(ONE)
    assert house.sent == ["1"]
    house.sendings[0].ends(204)
    assert house.told == [("called back", "1", 204)]
    assert house.note(ONE) == Posting("delivered", tries=1, status=204)
    assert house.waiting() == []


def test_a_delivery_is_one_try(house: House) -> None:
    """What failed is noted and goes back to the queue, until the schedule's time."""
    house.put(ONE)
    house.sendings[0].ends(500)
    note = house.note(ONE)
    assert note is not None
    assert (note.state, note.tries, note.status, note.error) == ("waiting", 1, 500, "")
    wait_seconds = (note.not_before_ns - house.now_ns) / 1e9
    assert 4 <= wait_seconds <= LONGEST_FIRST_WAIT
    assert house.told[0][:4] == ("failed", "1", "status 500", 1)
    assert house.poster.when_idle().called
    house.passes(wait_seconds - 0.2)
    assert house.sent == ["1"]
    house.passes(0.3)
    assert house.sent == ["1", "1"]


def test_why_there_was_no_answer_is_noted(house: House) -> None:
    """For whoever looks, and for the dead letter."""
    house.put(ONE)
    house.sendings[0].ends(0, "refused")
    note = house.note(ONE)
    assert note is not None
    assert (note.status, note.error) == (0, "refused")
    assert house.told[0][2] == "refused"


def test_the_waits_grow(house: House) -> None:
    """By the schedule."""
    house.put(ONE)
    house.sendings[0].ends(500)
    house.passes(LONGEST_FIRST_WAIT)
    house.sendings[1].ends(500)
    assert [told[3] for told in house.told] == [1, 2]
    assert 12 <= house.told[1][4] <= 18


@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_may_ask_for_a_wait(house: House, status: int) -> None:
    """It stands over the schedule."""
    house.put(ONE)
    house.sendings[0].ends(status, retry_after=b"1000")
    house.passes(999)
    assert house.sent == ["1"]
    house.passes(1)
    assert house.sent == ["1", "1"]


def test_tries_are_used_up(house: House) -> None:
    """The callback becomes a dead letter, whole."""
    house.put(ONE)
    for _ in range(3):
        house.sendings[-1].ends(500)
        house.passes(20)
    assert house.sent == ["1"] * 3
    (letter,) = house.dead()
    assert letter.callback == ONE
    assert (letter.reason, letter.status, letter.error, letter.tries) == ("exhausted", 500, "", 3)
    began = [NOW * 10**9 + seconds * 10**9 for seconds in (0, 20, 40)]
    assert [(each.at_ns, each.status) for each in letter.attempts] == [(at, 500) for at in began]
    assert house.told[-1] == ("given up", "1", "status 500", 3)
    note = house.note(ONE)
    assert note is not None
    assert note.state == "given_up"
    assert house.waiting() == []


def test_a_callback_that_we_fail_over_ourselves_comes_to_its_end(house: House) -> None:
    """Each time counts as a try, of which the receiver knows nothing."""
    house.put(ONE)
    for _ in range(3):
        house.sendings[-1].tried.errback(RuntimeError("a bug"))
        house.passes(100)
    (letter,) = house.dead()
    assert (letter.reason, letter.error, letter.tries) == ("exhausted", FAILED_INSIDE, 3)
    assert house.receivers.find(ONE.url).failures == 0
    assert house.waiting() == []
    assert [each["log_failure"].type for each in failures(house.events)] == [RuntimeError] * 3
    house.events.clear()


@pytest.mark.parametrize(("status", "reason"), [(410, "gone"), (508, "looped")])
def test_gone_is_gone(house: House, status: int, reason: str) -> None:
    """A 410 is not tried again, nor is the 508 that ends a chain."""
    house.put(ONE)
    house.sendings[0].ends(status)
    (letter,) = house.dead()
    assert (letter.reason, letter.status, letter.tries) == (reason, status, 1)
    assert house.told == [("given up", "1", f"status {status}", 1)]
    assert house.waiting() == []


def test_what_our_own_door_refuses_for_good_is_not_offered_again(house: House) -> None:
    """The callback is a dead letter at once, with what the door said."""
    house.put(ONE)
    house.sendings[0].tried.callback(Try(413, 0.001, "too large", is_refused=True))
    (letter,) = house.dead()
    assert (letter.reason, letter.status, letter.error) == ("refused", 413, "too large")
    assert house.told == [("given up", "1", "too large", 1)]
    assert house.waiting() == []


def test_who_wants_no_dead_letters_gets_none(house: House) -> None:
    """The callback is given up all the same."""
    house.keeps_dead_letters = False
    house.put(ONE)
    house.sendings[0].ends(410)
    assert house.dead() == []
    assert house.waiting() == []


def test_the_dead_letter_is_there_before_the_callback_is_forgotten(house: House) -> None:
    """And durable: until then the callback may come again."""
    durable: Deferred[None] = Deferred()
    house.queue.when_durable = lambda: durable  # type: ignore[method-assign]
    house.put(ONE)
    house.sendings[0].ends(410)
    assert len(house.dead()) == 1
    assert not house.poster.when_idle().called
    durable.callback(None)
    assert house.poster.when_idle().called
    assert house.waiting() == []


def test_a_dead_letter_that_cannot_be_written_now(house: House) -> None:
    """It is written at the next delivery, and nothing is sent any more."""
    put = house.queue.dead_letters.put_callback
    refuse: Callable[[DeadCallback], Deferred[None]] = lambda _: fail(QueueUnavailable("full"))  # noqa: E731
    house.queue.dead_letters.put_callback = refuse  # type: ignore[method-assign]
    house.put(ONE)
    house.sendings[0].ends(410)
    assert house.told == []
    house.passes(10)
    house.queue.dead_letters.put_callback = put  # type: ignore[method-assign]
    house.passes(10)
    assert [letter.reason for letter in house.dead()] == ["gone"]
    assert house.sent == ["1"]
    assert house.waiting() == []


def test_a_callback_whose_delivery_is_noted_is_not_sent_again(house: House) -> None:
    """Its acknowledgement was lost."""
    house.poster.stop_taking()
    house.queue.records.note_posting(ONE.name, Posting("delivered", tries=1, status=200))
    house.put(ONE)
    lose_first_delivery(house)
    assert house.sent == []
    assert house.waiting() == []


def test_a_callback_that_comes_early_waits_on(house: House) -> None:
    """The note knows when it is due, whatever the queue does after a crash."""
    house.poster.stop_taking()
    due_ns = house.now_ns + 600 * 10**9
    house.queue.records.note_posting(ONE.name, Posting(tries=1, not_before_ns=due_ns))
    house.put(ONE)
    lose_first_delivery(house)
    house.passes(500)
    assert house.sent == []
    house.passes(100)
    assert house.sent == ["1"]


def lose_first_delivery(house: House) -> None:
    """Somebody else takes what is there, and goes away; then a poster starts."""
    taken: list[Delivery[CallbackRequest]] = []
    house.queue.take_callbacks(taken.append, lambda: 1 - len(taken)).stop()
    house.passes(LEASE_SECONDS)
    house.poster = house.new_poster(house.queue)
    house.poster.start()
    house.passes(0)


def test_tries_go_on_after_a_restart(house: House) -> None:
    """They are counted from where they were."""
    house.put(ONE)
    house.sendings[0].ends(500)
    house.poster.stop_taking()
    house.poster = house.new_poster(house.queue)
    house.poster.start()
    house.passes(LONGEST_FIRST_WAIT)
    house.sendings[1].ends(500)
    assert [told[3] for told in house.told] == [1, 2]


def test_the_end_of_a_replay_is_another_callbacks(house: House) -> None:
    """What was tried of the first one does not count."""
    house.put(ONE)
    house.sendings[0].ends(410)
    again = replace(ONE, replays=1)
    house.put(again)
    house.sendings[1].ends(500)
    assert house.told[-1][:4] == ("failed", "1", "status 500", 1)


def test_so_many_go_to_one_receiver_at_a_time(house: House) -> None:
    """The others wait for their turn, in hand or in the queue."""
    warm_up(house)
    house.put(*(callback(f"{number}") for number in range(30)))
    assert len(house.sendings) == SLOTS
    house.sendings[0].ends()
    assert len(house.sendings) == SLOTS + 1


def warm_up(house: House) -> None:
    """Have the receiver answer often enough to be trusted."""
    for number in range(MOST):
        house.put(callback(f"warm-{number}"))
        house.sendings[-1].ends()
    house.sendings.clear()
    house.told.clear()


def test_all_are_delivered_in_the_end(house: House) -> None:
    """Once each, however many there are for one receiver."""
    wanted = [f"{number}" for number in range(500)]
    house.put(*map(callback, wanted))
    done = 0
    while done < len(wanted):
        for sending in house.sendings[done:]:
            sending.ends()
            done += 1
        house.passes(0.1)
    assert sorted(house.sent) == sorted(wanted)
    assert house.waiting() == []


def test_a_crowded_receiver_keeps_no_other_waiting(house: House) -> None:
    """What finds no place goes back to the queue, and uses up no try."""
    house.put(*(callback(f"{number}", "http://slow/") for number in range(200)))
    house.put(callback("other", "http://other/"))
    assert "other" in house.sent
    assert len(house.sent) == 3
    assert house.told == []
    assert len(house.waiting()) == 201


def test_a_receiver_that_rests_costs_no_tries(house: House) -> None:
    """Its callbacks wait for it, and a single one tries."""
    house.put(*(callback(f"{number}", "http://down/") for number in range(50)))
    receiver = house.receivers.find(parse(b"http://down/"))
    done = fail_all(house, 0, until=lambda: house.receivers.is_resting(receiver))
    for _ in range(20):
        probes = len(house.sendings) - done
        assert probes <= 1
        done = fail_all(house, 0, begin=done)
    tries = len(house.sendings)
    assert tries < 50
    # One that has probed again and again waits long by now, or has used its three tries up.
    for _ in range(100):
        house.passes(10)
        for sending in house.sendings[done:]:
            sending.ends()
            done += 1
    ends = [told[0] for told in house.told if told[0] != "failed"]
    assert len(ends) == 50
    assert ends.count("given up") == len(house.dead()) <= 1
    assert house.waiting() == []


def fail_all(
    house: House,
    status: int,
    *,
    begin: int = 0,
    until: Callable[[], bool] = lambda: True,
    seconds: float = 100,
) -> int:
    """Have tries fail, those that come in the meantime too; returns how many were made in all."""
    done = begin
    for _ in range(round(seconds)):
        for sending in house.sendings[done:]:
            sending.ends(status, "" if status else "refused")
            done += 1
        house.passes(1)
        if until():
            return done
    return done


@pytest.mark.parametrize(
    ("status", "spared"), [(500, False), (404, False), (429, True), (503, True)]
)
def test_what_makes_a_receiver_rest(house: House, status: int, spared: bool) -> None:
    """That it asks to be spared; a path that fails is no reason."""
    house.put(*(callback(f"{number}") for number in range(20)))
    receiver = house.receivers.find(ONE.url)
    fail_all(house, status, until=lambda: receiver.rests > 0)
    assert (receiver.rests > 0) == spared


def rests(house: House) -> None:
    """The receiver has not answered for a while."""
    receiver = house.receivers.find(ONE.url)
    for _ in range(FAILURES_UNTIL_REST):
        house.receivers.failed(receiver, "refused")


def test_a_callback_that_waited_while_the_daemon_was_off_has_all_its_tries(house: House) -> None:
    """However old it is by then, and whether its receiver rests or answers with an error."""
    since_ns = house.now_ns - 30 * 24 * 3600 * 10**9
    rests(house)
    house.put(replace(ONE, since_ns=since_ns), replace(callback("2"), since_ns=since_ns))
    assert (house.sent, house.dead()) == ([], [])
    fail_all(house, 500, until=lambda: len(house.dead()) == 2)
    assert sorted(house.sent) == ["1"] * 3 + ["2"] * 3
    assert [letter.tries for letter in house.dead()] == [3, 3]


def test_a_receiver_that_never_answers_cannot_keep_its_callbacks_for_ever(house: House) -> None:
    """When all tries could have been made they are made, though it rests: each comes to its end."""
    wanted = [f"{number}" for number in range(60)]
    house.put(*(replace(callback(each), since_ns=house.now_ns) for each in wanted))
    fail_all(house, 0, until=lambda: len(house.dead()) == len(wanted), seconds=600)
    assert sorted(house.sent) == sorted(wanted * 3)
    assert {letter.tries for letter in house.dead()} == {3}
    assert house.waiting() == []


def test_a_receiver_that_rests_makes_room_for_others(house: House) -> None:
    """Where callbacks take nearly all of their room: dead letters, with the tries that there were;
    those of others are sent."""
    rests(house)
    house.put(ONE, callback("2"))
    assert house.dead() == []
    house.queue.callbacks_full = True
    house.passes(40)
    house.put(callback("other", "http://other/"))
    assert house.sent == ["other"]
    assert [(each.reason, each.tries) for each in house.dead()] == [("crowded", 0)] * 2
    assert "nearly all of the room for callbacks is taken" in house.dead()[0].error
    house.sendings[0].ends()
    assert house.waiting() == []


def test_a_clock_that_was_set_back_does_not_stretch_a_wait(house: House) -> None:
    """No wait is longer than a day: a callback that seems to be due next year is due now."""
    house.poster.stop_taking()
    due_ns = house.now_ns + 365 * 24 * 3600 * 10**9
    house.queue.records.note_posting(ONE.name, Posting(tries=1, not_before_ns=due_ns))
    house.put(ONE)
    lose_first_delivery(house)
    assert house.sent == ["1"]


def test_a_stop_gives_back_what_is_in_hand(house: House) -> None:
    """It used up no try."""
    warm_up(house)
    house.put(*(callback(f"{number}") for number in range(12)))
    house.poster.stop_taking()
    assert house.poster.give_up() == 12
    assert house.poster.when_idle().called
    assert house.note(callback("0")) is None
    assert len(house.waiting()) == 12


def test_what_is_in_hand_at_a_stop_may_come_to_its_end(house: House) -> None:
    """Nothing more is taken meanwhile."""
    house.put(ONE)
    house.poster.stop_taking()
    house.put(callback("2"))
    assert not house.poster.when_idle().called
    house.sendings[0].ends()
    assert house.poster.when_idle().called
    assert house.sent == ["1"]


def test_a_lost_lease_is_not_a_second_try(house: House) -> None:
    """The delivery that came last is the one that is settled."""
    house.put(ONE)
    for timer in house.clock.getDelayedCalls():
        if timer.getTime() - house.clock.seconds() == LEASE_SECONDS:
            timer.func()
            timer.cancel()
    house.passes(0)
    assert house.sent == ["1"]
    house.sendings[0].ends()
    assert house.waiting() == []


def test_a_lease_is_extended_while_a_try_takes_its_time(house: House) -> None:
    """Nobody else is given the callback."""
    house.put(ONE)
    for _ in range(10):
        house.passes(LEASE_SECONDS / 3)
    assert house.sent == ["1"]


def test_a_quick_receiver_that_hangs_is_not_waited_for(house: House) -> None:
    """Others are taken past its callbacks, a moment later."""
    warm_up(house)
    house.put(*(callback(f"{number}") for number in range(100)))
    house.put(callback("other", "http://other/"))
    assert "other" not in house.sent
    house.passes(0.6)
    house.passes(0)
    assert "other" in house.sent


def test_a_note_that_cannot_be_written(house: House) -> None:
    """The queue keeps the time without it."""
    house.queue.records.note_posting = (  # type: ignore[method-assign]
        lambda name, posting: fail(QueueUnavailable("away"))
    )
    house.put(ONE)
    house.sendings[0].ends(500)
    house.passes(LONGEST_FIRST_WAIT)
    house.sendings[1].ends()
    assert house.waiting() == []


def test_a_queue_that_cannot_be_asked(house: House) -> None:
    """The callback waits for it, and uses up no try."""
    house.put(ONE)
    house.sendings[0].ends(500)
    find = house.queue.records.find_posting
    house.queue.records.find_posting = (  # type: ignore[method-assign]
        lambda name: fail(QueueUnavailable("away"))
    )
    house.passes(LONGEST_FIRST_WAIT)
    assert house.sent == ["1"]
    house.queue.records.find_posting = find  # type: ignore[method-assign]
    house.passes(10)
    assert house.sent == ["1", "1"]
