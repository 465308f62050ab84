"""The queue in memory: leases, delays and sources as with the durable ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from faasd_async.call.callback_url import parse
from faasd_async.call.ending import DeadCallback, DeadLetter, Ending, Letter
from faasd_async.call.history import Attempt, History
from faasd_async.call.ids import CallKey
from faasd_async.call.posting import Posting
from faasd_async.call.request import CallbackName, CallbackRequest, Outcome, QueueRequest
from faasd_async.queue.interface import (
    Delivery,
    OfFunction,
    OfQueue,
    Selection,
    Source,
    Subscription,
)
from faasd_async.queue.memory import MemoryQueue
from faasd_async.settings import ResultSettings

LEASE_SECONDS = 30.0
KEEP = ResultSettings()
OF_F = OfFunction("f")
T = TypeVar("T")


def result_of(deferred: Deferred[T]) -> T:
    results: list[T] = []
    deferred.addCallback(results.append)
    (result,) = results
    return result


def call(call_id: str, function: str = "f", queue: str = "q") -> QueueRequest:
    return QueueRequest(function, queue, CallKey(call_id, "0"), 1, b"/", (), b"")


class Taker:
    """Takes calls, as many as there is room for."""

    def __init__(self, queue: MemoryQueue, source: Source, room: int) -> None:
        self.room = room
        self.taken: list[Delivery[QueueRequest]] = []
        self.subscription: Subscription = queue.take_calls(source, self._take, lambda: self.room)

    def _take(self, delivery: Delivery[QueueRequest]) -> None:
        self.room -= 1
        self.taken.append(delivery)

    @property
    def ids(self) -> list[str]:
        return [each.parcel.key.call_id for each in self.taken]


class House:
    def __init__(self) -> None:
        self.clock = Clock()
        self.queue = MemoryQueue(self.clock, LEASE_SECONDS)

    def put(self, *requests: QueueRequest) -> None:
        for request in requests:
            assert self.queue.put_call(request).called

    def taker(self, source: Source = OF_F, room: int = 10) -> Taker:
        return Taker(self.queue, source, room)


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    assert house.queue.start().called
    yield house
    assert house.queue.stop().called
    assert house.clock.getDelayedCalls() == []


def test_calls_come_in_their_order(house: House) -> None:
    """Those that waited, then those that are put in, each for the first time."""
    house.put(call("1"), call("2"))
    taker = house.taker()
    house.put(call("3"))
    assert taker.ids == ["1", "2", "3"]
    assert {each.delivered for each in taker.taken} == {1}
    assert not any(each.inherited for each in taker.taken)


@pytest.mark.parametrize(
    ("source", "ids"),
    [(OfFunction("f"), ["1", "3"]), (OfQueue("q"), ["1", "2"]), (OfFunction("x"), [])],
)
def test_a_source_has_its_own_calls(house: House, source: Source, ids: list[str]) -> None:
    """By function or by queue; the others wait for somebody else."""
    house.put(call("1"), call("2", function="g"), call("3", queue="r"))
    assert house.taker(source).ids == ids


def test_no_more_than_there_is_room_for(house: House) -> None:
    """More comes with more room, when the subscription is topped up."""
    house.put(call("1"), call("2"), call("3"))
    taker = house.taker(room=1)
    assert taker.ids == ["1"]
    taker.room = 1
    assert taker.ids == ["1"]
    taker.subscription.top_up()
    assert taker.ids == ["1", "2"]


def test_a_call_goes_to_one_of_two(house: House) -> None:
    """While it is on a lease nobody else is given it."""
    one, other = house.taker(room=1), house.taker(room=1)
    house.put(call("1"), call("2"))
    assert (one.ids, other.ids) == (["1"], ["2"])


def test_a_lease_runs_out(house: House) -> None:
    """Then somebody else may take the call, and is told that it is not the first."""
    house.put(call("1"))
    taker = house.taker()
    house.clock.advance(LEASE_SECONDS - 1)
    assert taker.ids == ["1"]
    house.clock.advance(1)
    assert [each.delivered for each in taker.taken] == [1, 2]


def test_a_lease_is_extended(house: House) -> None:
    """It begins anew, each time."""
    house.put(call("1"))
    taker = house.taker()
    for _ in range(3):
        house.clock.advance(LEASE_SECONDS - 1)
        taker.taken[0].extend()
    assert len(taker.taken) == 1


def test_a_lease_that_ran_out_is_not_extended(house: House) -> None:
    """The call is somebody else's by then."""
    house.put(call("1"))
    taker = house.taker()
    house.clock.advance(LEASE_SECONDS)
    taker.taken[0].extend()
    taker.taken[1].settle()
    house.clock.advance(LEASE_SECONDS)
    assert len(taker.taken) == 2


@pytest.mark.parametrize("how", ["settle", "reject"])
def test_what_is_done_with_is_forgotten(house: House, how: str) -> None:
    """No lease runs out any more."""
    house.put(call("1"))
    taker = house.taker()
    if how == "settle":
        taker.taken[0].settle()
    else:
        taker.taken[0].reject("unreadable")
    assert house.clock.getDelayedCalls() == []
    house.clock.advance(LEASE_SECONDS)
    assert taker.ids == ["1"]


def test_what_is_given_back_comes_again(house: House) -> None:
    """Not before its delay is over, and counted."""
    house.put(call("1"))
    taker = house.taker()
    taker.taken[0].give_back(5)
    house.clock.advance(4.9)
    assert taker.ids == ["1"]
    house.clock.advance(0.1)
    assert [each.delivered for each in taker.taken] == [1, 2]


def test_a_call_for_later(house: House) -> None:
    """It comes after its delay, for the first time."""
    taker = house.taker()
    assert house.queue.put_later(call("1"), 60).called
    house.clock.advance(59)
    assert taker.ids == []
    house.clock.advance(1)
    assert [each.delivered for each in taker.taken] == [1]


def test_who_has_stopped_takes_nothing_more(house: House) -> None:
    """What was handed over stays valid; what comes then waits for somebody else."""
    house.put(call("1"))
    taker = house.taker()
    taker.subscription.stop()
    taker.subscription.stop()
    house.put(call("2"))
    taker.subscription.top_up()
    assert taker.ids == ["1"]
    taker.taken[0].settle()
    assert house.taker().ids == ["2"]


def test_who_stops_in_the_middle_takes_nothing_more(house: House) -> None:
    """Even while deliveries are being handed over."""
    house.put(call("1"), call("2"))
    taken: list[str] = []

    def take(delivery: Delivery[QueueRequest]) -> None:
        taken.append(delivery.parcel.key.call_id)
        subscription.stop()

    rooms = iter([0])
    subscription = house.queue.take_calls(OfFunction("f"), take, lambda: next(rooms, 5))
    subscription.top_up()
    assert taken == ["1"]


def test_callbacks_lie_apart(house: House) -> None:
    """Nobody who takes calls is given one, and the other way round."""
    callback = CallbackRequest("f", CallKey("1", "0"), parse(b"http://h"), (), b"")
    taker = house.taker()
    taken: list[Delivery[CallbackRequest]] = []
    house.queue.take_callbacks(taken.append, lambda: 1 - len(taken))
    assert house.queue.put_callback(callback).called
    assert [each.parcel for each in taken] == [callback]
    assert taker.ids == []


def test_a_callback_is_stored_once(house: House) -> None:
    """While it waits or is in hand; once it is gone it may be put again, as may a further one."""
    callback = CallbackRequest("f", CallKey("1", "0"), parse(b"http://h"), (), b"")
    taken: list[Delivery[CallbackRequest]] = []
    house.queue.put_callback(callback)
    house.queue.put_callback(callback)
    house.queue.take_callbacks(taken.append, lambda: 10 - len(taken))
    house.queue.put_callback(callback)
    assert len(taken) == 1
    house.queue.put_callback(replace(callback, generation=1))
    assert len(taken) == 2
    taken[0].settle()
    taken[1].settle()
    house.queue.put_callback(callback)
    assert len(taken) == 3
    taken[2].reject("nobody wants it")


def test_what_was_tried_of_a_callback(house: House) -> None:
    """The last note stands, of each callback its own."""
    records = house.queue.records
    name = CallbackName("f", CallKey("1", "0"))
    assert result_of(records.find_posting(name)) is None
    result_of(records.note_posting(name, Posting(tries=1)))
    result_of(records.note_posting(name, Posting(tries=2)))
    assert result_of(records.find_posting(name)) == Posting(tries=2)
    assert result_of(records.find_posting(name._replace(generation=1))) is None


def test_what_is_stored_is_as_durable_as_it_gets(house: House) -> None:
    """There is no disk to wait for, and no limit to a call."""
    assert house.queue.ready
    assert house.queue.when_durable().called
    assert house.queue.largest_call_bytes > 2**60


def ending(status: int) -> Ending:
    return Ending("succeeded", Outcome(status, (), b"", 0.1), History(), 1)


def test_the_first_ending_stands(house: House) -> None:
    """Whoever comes second is told so."""
    records = house.queue.records
    assert result_of(records.record_ending(call("1"), ending(200), KEEP))
    assert not result_of(records.record_ending(call("1"), ending(500), KEEP))
    assert result_of(records.find_ending("f", CallKey("1", "0"))) == ending(200)


def test_calls_that_share_an_id_end_apart(house: House) -> None:
    """As do those of other functions."""
    records = house.queue.records
    result_of(records.record_ending(call("1"), ending(200), KEEP))
    assert result_of(records.find_ending("f", CallKey("1", "another"))) is None
    assert result_of(records.find_ending("g", CallKey("1", "0"))) is None


def test_the_last_history_stands(house: House) -> None:
    """It is what was tried up to now."""
    records = house.queue.records
    key = CallKey("1", "0")
    assert result_of(records.find_history("f", key)) is None
    tried = History().with_attempt(Attempt(1, 500, 0.1))
    result_of(records.note_history(call("1"), History()))
    result_of(records.note_history(call("1"), tried))
    assert result_of(records.find_history("f", key)) == tried


def letter(call_id: str, function: str = "f", accept: str = "0") -> DeadLetter:
    request = replace(call(call_id, function), key=CallKey(call_id, accept))
    return DeadLetter(request, "failed", 500, "", 1)


def letters_in(house: House, **wanted: Any) -> list[Letter]:
    page = result_of(house.queue.dead_letters.look_through(Selection(**wanted), 0, 100))
    assert page.next is None
    return [filed.letter for filed in page.letters]


def dead_callback(call_id: str) -> DeadCallback:
    callback = CallbackRequest("f", CallKey(call_id, "0"), parse(b"http://h"), (), b"")
    return DeadCallback(callback, "gone", 410, "", 1, 1)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({}, 5),
        ({"call_id": "1"}, 4),
        ({"call_id": "1", "accept": "x"}, 1),
        ({"call_id": "3"}, 0),
        ({"function": "g"}, 1),
        ({"kind": "call"}, 4),
        ({"kind": "callback"}, 1),
        ({"reason": "gone"}, 1),
        ({"reason": "failed", "function": "f"}, 3),
    ],
)
def test_dead_letters_are_told_apart(house: House, wanted: dict[str, Any], count: int) -> None:
    """By whatever is known of the ones that are meant."""
    letters = house.queue.dead_letters
    for each in (letter("1"), letter("1", accept="x"), letter("1", "g"), letter("2")):
        letters.put(each)
    letters.put_callback(dead_callback("1"))
    assert len(letters_in(house, **wanted)) == count
    assert result_of(letters.purge(Selection(**wanted))) == count
    assert len(letters_in(house)) == 5 - count


def test_dead_letters_are_looked_through_in_pages(house: House) -> None:
    """Oldest first, from the place where the last page ended; the last page says that it is."""
    letters = house.queue.dead_letters
    for number in range(5):
        letters.put(letter(f"{number}", "g" if number == 1 else "f"))
    first = result_of(letters.look_through(Selection(function="f"), 0, 2))
    assert [each.letter for each in first.letters] == [letter("0"), letter("2")]
    assert first.next is not None
    rest = result_of(letters.look_through(Selection(function="f"), first.next, 2))
    assert [each.letter for each in rest.letters] == [letter("3"), letter("4")]
    assert rest.next is None


def test_a_later_letter_of_a_call_stands_over_an_earlier_one(house: House) -> None:
    """There is one, and it is the newest; a callback's is another."""
    letters = house.queue.dead_letters
    later = replace(letter("1"), status=503)
    for each in (letter("1"), letter("2"), later):
        letters.put(each)
    letters.put_callback(dead_callback("1"))
    assert letters_in(house) == [letter("2"), later, dead_callback("1")]
    assert result_of(letters.newest()) == 4


def test_a_dead_letter_is_removed_from_its_place(house: House) -> None:
    """A younger one of the same call lies in another."""
    letters = house.queue.dead_letters
    letters.put(letter("1"))
    letters.put(letter("2"))
    (first, _) = result_of(letters.look_through(Selection(), 0, 10)).letters
    letters.put(letter("1"))
    assert not result_of(letters.remove(first.place))
    assert letters_in(house) == [letter("2"), letter("1")]
    (second, _) = result_of(letters.look_through(Selection(), 0, 10)).letters
    assert result_of(letters.remove(second.place))
    assert letters_in(house) == [letter("1")]


def test_what_is_known_of_a_call_can_be_forgotten(house: House) -> None:
    """Its end and its attempts, and nobody else's."""
    records = house.queue.records
    for each in (call("1"), call("2")):
        result_of(records.record_ending(each, ending(500), KEEP))
        result_of(records.note_history(each, History()))
    result_of(records.forget("f", CallKey("1", "0")))
    assert result_of(records.find_ending("f", CallKey("1", "0"))) is None
    assert result_of(records.find_history("f", CallKey("1", "0"))) is None
    assert result_of(records.find_ending("f", CallKey("2", "0"))) is not None
    assert result_of(records.find_history("f", CallKey("2", "0"))) is not None


def test_what_a_replay_left_behind_counts_for_nothing(house: House) -> None:
    """Records are written over that stem from before the replay, those from after it stand."""
    records = house.queue.records
    key = CallKey("1", "0")
    again = replace(call("1"), generation=1)
    result_of(records.record_ending(call("1"), ending(500), KEEP))
    result_of(records.note_history(call("1"), History()))
    assert result_of(records.find_ending("f", key, 1)) is None
    assert result_of(records.find_history("f", key, 1)) is None
    assert result_of(records.record_ending(again, ending(200), KEEP))
    assert result_of(records.find_ending("f", key, 1)) == ending(200)
    assert not result_of(records.record_ending(call("1"), ending(500), KEEP))
