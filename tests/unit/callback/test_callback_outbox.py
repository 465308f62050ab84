"""The outbox: who is put into the queue, and who has to make room for others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock

from faasd_async.call.callback_url import CallbackUrl, parse
from faasd_async.call.ending import DeadCallback
from faasd_async.call.ids import CallKey
from faasd_async.call.posting import Posting
from faasd_async.call.request import CallbackRequest
from faasd_async.callback.outbox import Outbox
from faasd_async.callback.receivers import FAILURES_UNTIL_REST, Receivers
from faasd_async.errors import QueueError, QueueFull, QueueUnavailable
from faasd_async.queue.memory import MemoryQueue

NOW_NS = 1_700_000_000 * 10**9
DOWN, UP = parse(b"http://down/"), parse(b"http://up/")


def callback(url: CallbackUrl, call_id: str = "1") -> CallbackRequest:
    return CallbackRequest("f", CallKey(call_id, "0"), url, (), b"told")


class Room(MemoryQueue):
    """A queue with a room for callbacks.

    :ivar is_full: nothing more can be put.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, 30.0)
        self.put: list[CallbackRequest] = []
        self.is_full = False

    def put_callback_then(
        self, callback: CallbackRequest, stored: Callable[[QueueError | None], None]
    ) -> None:
        if self.is_full:
            stored(QueueFull("maximum bytes exceeded"))
        else:
            self.put.append(callback)
            stored(None)


class House:
    """An outbox, a receiver that is down, and one that is up.

    :ivar given_up: what the outbox has told of.
    """

    def __init__(self) -> None:
        clock = Clock()
        self.queue = Room(clock)
        self.receivers = Receivers(clock, 100)
        self.given_up: list[tuple[str, int]] = []
        self.keeps_dead_letters = True
        for _ in range(FAILURES_UNTIL_REST):
            self.receivers.failed(self.receivers.find(DOWN), "refused")
        self.receivers.answered(self.receivers.find(UP), 0.01)
        self.outbox = Outbox(
            self.queue,
            self.receivers,
            lambda function: self.keeps_dead_letters,
            lambda: NOW_NS,
            lambda callback, why, tries: self.given_up.append((why, tries)),
        )

    def puts(self, callback: CallbackRequest) -> QueueError | None:
        told: list[Any] = []
        self.outbox.put_callback_then(callback, told.append)
        (reason,) = told
        return cast("QueueError | None", reason)

    def dead(self) -> list[DeadCallback]:
        return [cast(DeadCallback, letter) for letter in self.queue.dead_letters.all()]

    def note(self, callback: CallbackRequest) -> Posting | None:
        found: list[Posting | None] = []
        self.queue.records.find_posting(callback.name).addCallback(found.append)
        return found[0]


@pytest.fixture
def house() -> House:
    return House()


def test_as_long_as_there_is_room_everything_is_put(house: House) -> None:
    """Whoever receives it."""
    assert [house.puts(callback(url)) for url in (DOWN, UP)] == [None, None]
    assert [each.url for each in house.queue.put] == [DOWN, UP]
    assert (house.dead(), house.given_up) == ([], [])


def test_half_of_the_room_is_for_those_that_keep_up(house: House) -> None:
    """A callback to one that does not answer is a dead letter, whole, and is noted as over."""
    house.queue.callbacks_crowded = True
    assert [house.puts(callback(url)) for url in (DOWN, UP)] == [None, None]
    assert [each.url for each in house.queue.put] == [UP]
    why = "http://down:80 does not answer (refused), and half of the room for callbacks is taken"
    assert house.dead() == [DeadCallback(callback(DOWN), "crowded", 0, why, 0, NOW_NS)]
    assert house.given_up == [(why, 0)]
    assert house.note(callback(DOWN)) == Posting("given_up", error=why)


def test_one_that_nobody_knows_keeps_up(house: House) -> None:
    """It has to be tried first."""
    house.queue.callbacks_crowded = True
    house.puts(callback(parse(b"http://new/")))
    assert len(house.queue.put) == 1


def test_whose_answers_take_for_ever_does_not_keep_up(house: House) -> None:
    """Though it answers."""
    for _ in range(100):
        house.receivers.answered(house.receivers.find(UP), 20.0)
    house.queue.callbacks_crowded = True
    house.puts(callback(UP))
    (letter,) = house.dead()
    assert "http://up:80 takes" in letter.error


def test_one_that_is_back_is_put_again(house: House) -> None:
    """The first answer will do."""
    house.queue.callbacks_crowded = True
    house.receivers.answered(house.receivers.find(DOWN), 0.01)
    house.puts(callback(DOWN))
    assert len(house.queue.put) == 1


def test_a_full_room(house: House) -> None:
    """Who does not keep up is a dead letter, and who does has to wait for room."""
    house.queue.is_full = True
    assert house.puts(callback(DOWN)) is None
    assert isinstance(house.puts(callback(UP)), QueueFull)
    assert [letter.callback.url for letter in house.dead()] == [DOWN]


def test_who_wants_no_dead_letters_gets_none(house: House) -> None:
    """The callback is given up all the same, and told of."""
    house.keeps_dead_letters = False
    house.queue.callbacks_crowded = True
    assert house.puts(callback(DOWN)) is None
    assert (house.dead(), len(house.given_up)) == ([], 1)


def test_a_letter_that_cannot_be_written(house: House) -> None:
    """Then the callback is not given up: whoever put it hears of it, and asks again."""
    house.queue.callbacks_crowded = True
    refusal: Deferred[None] = fail(QueueUnavailable("away"))
    house.queue.dead_letters.put_callback = lambda letter: refusal  # type: ignore[method-assign]
    assert isinstance(house.puts(callback(DOWN)), QueueUnavailable)
    assert (house.note(callback(DOWN)), house.given_up) == (None, [])
