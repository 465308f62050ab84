"""A replay, interrupted between any two of its steps, loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace
from test_system_dead_letters import dead_callback, letter
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from faasd_async.call.ending import DeadCallback, DeadLetter, Ending
from faasd_async.call.history import History
from faasd_async.call.request import CallbackRequest, Outcome, QueueRequest
from faasd_async.errors import MaybeStored, QueueError, QueueFull, QueueUnavailable
from faasd_async.gateway.system.edits import AS_IT_WAS
from faasd_async.gateway.system.replay import NotReplayable, Replay
from faasd_async.queue.interface import Delivery, Filed, OfFunction, Selection
from faasd_async.queue.memory import MemoryQueue
from faasd_async.runtime.deployments import Deployment
from faasd_async.settings import FunctionSettings, ResultSettings

NOW_NS = 1_700_000_000_000_000_000
KEEP = ResultSettings()
T = TypeVar("T")


class _Step:
    """A part of a queue whose steps can be cut."""

    def __init__(self, part: Any, house: House) -> None:
        self._part = part
        self._house = house

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if name in ("records", "dead_letters"):
            return _Step(found, self._house)
        return lambda *about: self._house.step(name, lambda: found(*about))


class House:
    """A queue that goes away where a test says.

    :ivar steps: those that were taken.
    :ivar cut_before: the step that is not taken any more.
    :ivar cut_after: the step whose answer is lost.
    """

    def __init__(self) -> None:
        self.queue = MemoryQueue(Clock(), 30.0)
        settings = FunctionSettings(
            name="f", url="http://f.test/", max_inflight=1, max_body_bytes=9, queue="slow"
        )
        runtime: Any = None
        self.accepted: list[QueueRequest] = []
        store: Any = _Step(self.queue, self)
        self.replay = Replay(
            store, {"f": Deployment(settings, runtime)}, lambda: NOW_NS, self.accepted.append
        )
        self.steps: list[str] = []
        self.cut_before = self.cut_after = ""
        self.reason: QueueError = QueueUnavailable("cut")

    def step(self, name: str, action: Callable[[], Deferred[Any]]) -> Deferred[Any]:
        self.steps.append(name)
        if name == self.cut_before:
            return fail(self.reason)
        result = action()
        return fail(self.reason) if name == self.cut_after else result

    def keep(self, dead: DeadLetter | DeadCallback) -> Filed:
        if isinstance(dead, DeadCallback):
            self.queue.dead_letters.put_callback(dead)
        else:
            self.queue.dead_letters.put(dead)
        return self.letters()[-1]

    def ends(self, request: QueueRequest, status: int) -> None:
        outcome = Outcome(status, (), b"", 0.1)
        self.queue.records.record_ending(request, Ending("failed", outcome, History(), 1), KEEP)

    def put_back(self, filed: Filed) -> Exception | None:
        """Replay; :return: why that failed."""
        failures: list[Any] = []
        done = Deferred.fromCoroutine(self.replay.put_back(filed, AS_IT_WAS))
        done.addErrback(failures.append)
        assert done.called
        return failures[0].value if failures else None

    def letters(self) -> list[Filed]:
        page = result_of(self.queue.dead_letters.look_through(Selection(), 0, 100))
        return [*page.letters]

    def calls(self) -> list[QueueRequest]:
        taken: list[Delivery[QueueRequest]] = []
        self.queue.take_calls(OfFunction("f"), taken.append, lambda: 100).stop()
        return [delivery.parcel for delivery in taken]

    def callbacks(self) -> list[CallbackRequest]:
        taken: list[Delivery[CallbackRequest]] = []
        self.queue.take_callbacks(taken.append, lambda: 100).stop()
        return [delivery.parcel for delivery in taken]


def result_of(deferred: Deferred[T]) -> T:
    results: list[T] = []
    deferred.addCallback(results.append)
    (result,) = results
    return result


@pytest.fixture
def house() -> House:
    return House()


CALL_STEPS = ["find_ending", "forget", "put_call", "remove"]
CALLBACK_STEPS = ["put_callback", "when_durable", "remove"]


@pytest.mark.parametrize(
    ("dead", "steps"), [(letter(), CALL_STEPS), (dead_callback(), CALLBACK_STEPS)]
)
def test_the_order_of_the_steps(
    house: House, dead: DeadLetter | DeadCallback, steps: list[str]
) -> None:
    """The letter goes last, when what it was for is durable."""
    assert house.put_back(house.keep(dead)) is None
    assert house.steps == steps
    assert house.letters() == []


@pytest.mark.parametrize("step", CALL_STEPS[:-1])
@pytest.mark.parametrize("taken", [False, True], ids=["not taken", "taken"])
def test_a_call_is_not_lost_wherever_its_replay_is_cut(
    house: House, step: str, taken: bool
) -> None:
    """Its letter stays, whether the step was taken or not, and can be replayed once more."""
    house.ends(letter().request, 500)
    filed = house.keep(letter())
    if taken:
        house.cut_after = step
    else:
        house.cut_before = step
    assert house.put_back(filed) is house.reason
    assert house.letters() == [filed]
    house.cut_before = house.cut_after = ""
    assert house.put_back(filed) is None
    assert {call.generation for call in house.calls()} == {1}
    assert house.letters() == []


@pytest.mark.parametrize("step", CALLBACK_STEPS[:-1])
@pytest.mark.parametrize("taken", [False, True], ids=["not taken", "taken"])
def test_a_callback_is_not_lost_wherever_its_replay_is_cut(
    house: House, step: str, taken: bool
) -> None:
    """Likewise; what is put twice is the same callback."""
    filed = house.keep(dead_callback())
    if taken:
        house.cut_after = step
    else:
        house.cut_before = step
    assert house.put_back(filed) is house.reason
    assert house.letters() == [filed]
    house.cut_before = house.cut_after = ""
    assert house.put_back(filed) is None
    assert {each.replays for each in house.callbacks()} == {1}
    assert house.letters() == []


@pytest.mark.parametrize("dead", [letter(), dead_callback()], ids=["call", "callback"])
def test_a_letter_that_cannot_be_removed_was_replayed_all_the_same(
    house: House, dead: DeadLetter | DeadCallback
) -> None:
    """What counts is in the queue; that the letter is still there is logged."""
    house.cut_before = "remove"
    with capturedLogs() as events:
        assert house.put_back(house.keep(dead)) is None
    assert len(house.calls()) + len(house.callbacks()) == 1
    assert len(house.letters()) == 1
    assert any("could not be removed" in event["log_format"] for event in events)


def test_a_call_that_has_ended_since_is_not_replayed_again(house: House) -> None:
    """Its letter, which a crash had left behind, goes."""
    filed = house.keep(letter())
    house.cut_before = "remove"
    house.put_back(filed)
    house.cut_before = ""
    (call,) = house.calls()
    house.ends(call, 200)
    assert isinstance(house.put_back(filed), NotReplayable)
    assert house.calls() == []
    assert house.letters() == []


def test_a_replayed_call_has_no_times_any_more(house: House) -> None:
    """It was put off, and it was to be of no use by now: whoever replays it wants it run."""
    dead = letter()
    request = replace(dead.request, not_before_ns=5, expires_ns=6)
    house.put_back(house.keep(replace(dead, request=request)))
    (call,) = house.calls()
    assert (call.not_before_ns, call.expires_ns) == (0, 0)


def test_a_record_that_comes_back_with_the_power_counts_for_nothing(house: House) -> None:
    """The purge had not reached the disk: the call runs all the same, and its end is written."""
    filed = house.keep(letter())
    house.put_back(filed)
    house.ends(letter().request, 500)
    (call,) = house.calls()
    records = house.queue.records
    assert result_of(records.find_ending("f", call.key, call.generation)) is None
    house.ends(call, 200)
    ended = result_of(records.find_ending("f", call.key, call.generation))
    assert ended is not None
    assert ended.outcome.status == 200


def test_a_call_that_fails_again_at_once_is_a_dead_letter_again(house: House) -> None:
    """The younger letter is not the one that is removed."""
    filed = house.keep(letter())

    def fail_again(delivery: Delivery[QueueRequest]) -> None:
        delivery.settle()
        house.queue.dead_letters.put(replace(letter(), request=delivery.parcel))

    house.queue.take_calls(OfFunction("f"), fail_again, lambda: 1)
    assert house.put_back(filed) is None
    (left,) = house.letters()
    assert isinstance(left.letter, DeadLetter)
    assert left.letter.request.generation == 1


@pytest.mark.parametrize("reason", [QueueFull("full"), MaybeStored("no answer")])
def test_a_call_that_does_not_fit_stays_a_dead_letter(house: House, reason: QueueError) -> None:
    """It is not said to be accepted."""
    house.reason = reason
    house.cut_before = "put_call"
    filed = house.keep(letter())
    assert house.put_back(filed) is reason
    assert house.letters() == [filed]
    assert house.accepted == []
