"""The end of a call: what is written down, in which order, and whose word stands."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from twisted.internet.defer import Deferred
from worker_house import BEGAN_NS, CALLBACK, House, call, result_of

from faasd_async.call.ending import Ending
from faasd_async.call.history import Attempt, History
from faasd_async.call.ids import CallKey
from faasd_async.call.posting import Posting, PostingState
from faasd_async.call.request import CallbackName, Outcome, QueueRequest
from faasd_async.errors import MaybeStored, QueueError
from faasd_async.settings import ResultSettings

TRIED = History((Attempt(BEGAN_NS, 500, 0.5),), deliveries=3)
FAILED = Ending("failed", Outcome(500, (), b"no", 0.5), TRIED, BEGAN_NS, "failed")
SUCCEEDED = Ending("succeeded", Outcome(200, (), b"yes", 0.5), TRIED, BEGAN_NS)
CALL = call("1", callback=CALLBACK)


def end(house: House, ending: Ending, request: QueueRequest = CALL) -> None:
    """Have an end written down."""
    result_of(Deferred.fromCoroutine(house.settlement.end(request, ending)))


def complete(house: House, request: QueueRequest = CALL) -> bool:
    """Have an end completed that was written down."""
    return result_of(Deferred.fromCoroutine(house.settlement.complete(request)))


@pytest.mark.parametrize(
    ("status", "callback", "pages"),
    [
        (200, None, ["terminal record", "barrier", "settled"]),
        (200, CALLBACK, ["terminal record", "callback", "barrier", "settled"]),
        (500, None, ["terminal record", "dead letter", "barrier", "settled"]),
        (500, CALLBACK, ["terminal record", "callback", "dead letter", "barrier", "settled"]),
    ],
)
def test_the_order_of_an_end(house: House, status: int, callback: Any, pages: list[str]) -> None:
    """The record first, the settlement last; each step waits for the one before."""
    house.diary.slow.update(pages)
    house.starts(f={})
    house.puts("1", callback=callback)
    house.invoked[0].answers(status)
    for number in range(1, len(pages)):
        assert house.diary.pages == pages[:number]
        house.diary.go_on()
    assert house.diary.pages == pages


def test_a_replay_that_comes_before_its_call_is_settled(house: House) -> None:
    """Somebody saw the dead letter as soon as it was written: either is settled by itself, and the
    replay runs as it was put."""
    house.starts(f={})
    house.puts("1", body=b"old")
    house.puts("1", body=b"edited", generation=1)
    assert [each.invocation.body for each in house.invoked] == [b"old"]
    house.invoked[0].answers(500)
    assert [each.invocation.body for each in house.invoked] == [b"old", b"edited"]
    house.invoked[1].answers()
    assert house.left() == []


def test_the_callback_is_the_calls(house: House) -> None:
    """To its URL, under its key, with the answer's body."""
    house.starts(f={})
    end(house, SUCCEEDED)
    (told,) = house.callbacks()
    assert (told.function, told.key, told.url) == ("f", CALL.key, CALLBACK)
    assert told.body == b"yes"


def test_the_callback_tells_how_many_attempts_there_may_be(house: House) -> None:
    """As the function's policy says."""
    house.starts(f={})
    end(house, SUCCEEDED)
    (told,) = house.callbacks()
    assert {(b"X-Retry", b"0"), (b"X-Retry-Max", b"9")} <= set(told.headers)


def test_a_dead_letter_is_the_call_with_what_was_tried_of_it(house: House) -> None:
    """Whole, with the last answer's status."""
    house.starts(f={})
    end(house, FAILED)
    (letter,) = house.dead_letters()
    assert letter.request == replace(CALL, history=TRIED)
    assert (letter.reason, letter.status, letter.ended_ns) == ("failed", 500, BEGAN_NS)


def test_a_function_may_want_no_dead_letters(house: House) -> None:
    """Then there is none; its callback is as ever."""
    house.starts(f={"dead_letters": "never"})
    end(house, FAILED)
    assert house.dead_letters() == []
    assert len(house.callbacks()) == 1


@pytest.mark.parametrize("dead_letters", ["failed", "never"])
def test_an_end_is_told_once(house: House, dead_letters: str) -> None:
    """With its reason, and whether there is a dead letter; not again when it is completed, or when
    somebody has ended the call before."""
    house.starts(f={"dead_letters": dead_letters})
    end(house, FAILED)
    end(house, SUCCEEDED)
    complete(house)
    assert house.watch.ends == [("1", "failed", "failed", dead_letters == "failed")]


@pytest.mark.parametrize("step", ["callback", "dead letter"])
def test_an_end_that_is_written_in_two_tries_is_told_once(house: House, step: str) -> None:
    """The queue failed in between."""
    house.starts(f={})
    house.refuses(step)
    house.puts("1", callback=CALLBACK)
    house.invoked[0].answers(500)
    house.refuses()
    house.passes(1)
    assert house.diary.pages[-1] == "settled"
    assert house.watch.ends == [("1", "failed", "failed", True)]


def test_a_result_is_kept_as_the_function_wants_it(house: House) -> None:
    """The queue is told how long, and how large a one."""
    kept: list[ResultSettings] = []
    records = house.queue.records.part
    house.queue.records.part = _Keeping(records, kept)
    results = ResultSettings(keep_seconds=7, max_bytes=8)
    house.starts(f={"results": results})
    end(house, SUCCEEDED)
    end(house, SUCCEEDED, call("2", "gone"))
    assert kept == [results, ResultSettings()]


class _Keeping:
    """Records that note how long they are to be kept."""

    def __init__(self, records: Any, kept: list[ResultSettings]) -> None:
        self._records = records
        self._kept = kept

    def record_ending(self, request: QueueRequest, ending: Ending, keep: ResultSettings) -> Any:
        self._kept.append(keep)
        return self._records.record_ending(request, ending, keep)


def test_the_first_to_write_an_end_has_ended_the_call(house: House) -> None:
    """Whoever comes second completes that end: one callback, and it says what stands."""
    house.starts(f={})
    records = house.queue.records.part
    assert result_of(records.record_ending(CALL, SUCCEEDED, ResultSettings()))
    end(house, FAILED)
    (told,) = house.callbacks()
    assert told.body == b"yes"
    assert house.dead_letters() == []
    assert house.ending() == SUCCEEDED


def test_an_end_that_stands_may_be_a_death(house: House) -> None:
    """Then success comes too late, and the dead letter is seen to."""
    house.starts(f={})
    records = house.queue.records.part
    assert result_of(records.record_ending(CALL, FAILED, ResultSettings()))
    end(house, SUCCEEDED)
    assert len(house.dead_letters()) == 1


def test_calls_that_share_an_id_end_each_by_itself(house: House) -> None:
    """As do those of another function under the same key."""
    house.starts(f={}, g={})
    for request in (CALL, replace(CALL, key=CallKey("1", "x")), replace(CALL, function="g")):
        end(house, FAILED, request)
    assert len(house.callbacks()) == len(house.dead_letters()) == 3


def test_there_is_nothing_to_complete_of_a_call_that_has_not_ended(house: House) -> None:
    """Nothing is written then."""
    house.starts(f={})
    assert not complete(house)
    assert house.diary.pages == ["look for an end"]


def test_an_end_may_be_completed_any_number_of_times(house: House) -> None:
    """A letter stays one letter."""
    house.starts(f={})
    end(house, FAILED)
    assert complete(house)
    assert complete(house)
    assert len(house.dead_letters()) == 1


@pytest.mark.parametrize("state", ["delivered", "given_up"])
def test_a_callback_that_was_brought_to_its_end_is_not_put_again(
    house: House, state: PostingState
) -> None:
    """Though its call comes again: the acknowledgement of the call was lost."""
    house.starts(f={})
    end(house, SUCCEEDED)
    (told,) = house.callbacks()
    house.queue.records.part.note_posting(told.name, Posting(state, tries=1))
    assert complete(house)
    assert house.callbacks() == []


def test_a_callback_that_is_to_be_tried_again_is_there_once(house: House) -> None:
    """What was noted of it does not bring a second one."""
    house.starts(f={})
    end(house, SUCCEEDED)
    name = CallbackName("f", CALL.key)
    house.queue.records.part.note_posting(name, Posting(tries=1))
    assert complete(house)
    assert len(house.callbacks()) == 1


def test_a_replayed_call_is_told_anew(house: House) -> None:
    """Its first callback was delivered; the end of the replay is another one."""
    house.starts(f={})
    end(house, FAILED)
    (told,) = house.callbacks()
    house.queue.records.part.note_posting(told.name, Posting("delivered", tries=1))
    again = replace(CALL, generation=1)
    end(house, SUCCEEDED, again)
    assert complete(house, again)
    (told,) = house.callbacks()
    assert told.generation == 1


@pytest.mark.parametrize(
    ("ending", "told"), [(SUCCEEDED, []), (FAILED, [CALLBACK])], ids=["success", "failure"]
)
def test_failures_alone_may_be_told(house: House, ending: Ending, told: list[Any]) -> None:
    """To whoever wants to know of nothing else."""
    house.starts(f={})
    end(house, ending, replace(CALL, callback=None, on_failure=CALLBACK))
    assert [each.url for each in house.callbacks()] == told


def test_of_a_function_that_is_gone(house: House) -> None:
    """Its calls end all the same: with a letter, and one attempt as the most there may be."""
    house.starts(f={})
    end(house, FAILED, replace(CALL, function="gone"))
    (letter,) = house.dead_letters()
    assert letter.request.function == "gone"
    (told,) = house.callbacks()
    assert (b"X-Retry-Max", b"0") in told.headers


@pytest.mark.parametrize("step", ["terminal record", "callback", "dead letter", "barrier"])
def test_what_cannot_be_written_is_said(house: House, step: str) -> None:
    """Nothing after it is written, and all of it may be written again."""
    house.starts(f={})
    house.refuses(step, reason=MaybeStored("no answer"))
    ending = Deferred.fromCoroutine(house.settlement.end(CALL, FAILED))
    reasons: list[object] = []
    ending.addErrback(lambda failure: reasons.append(failure.check(QueueError)))
    assert reasons == [QueueError]
    assert house.diary.pages[-1] == step
    house.refuses()
    end(house, FAILED)
    assert len(house.dead_letters()) == 1
