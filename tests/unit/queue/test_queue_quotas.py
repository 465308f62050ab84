"""How room is shared out, in numbers alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faasd_async.queue.jetstream.quotas import LEAST_BYTES, SHARE, Quotas, fit

MIB = 2**20
GIB = 2**30
NOTHING = Quotas()
USUAL = Quotas(2 * GIB, 2 * GIB, 2 * GIB, 512 * MIB, 512 * MIB)
SPARED = 256 * MIB

sizes = st.integers(LEAST_BYTES, 8 * GIB)
wishes = st.builds(Quotas, sizes, sizes, sizes, sizes, sizes)
held = st.integers(0, 8 * GIB)
contents = st.builds(Quotas, held, held, held, held, held)


def test_where_there_is_room_nothing_shrinks() -> None:
    """A large disk gives what is wanted."""
    assert fit(USUAL, NOTHING, 20 * GIB, SPARED) == USUAL


def test_results_and_dead_letters_shrink_first() -> None:
    """By the same factor; what was promised keeps its quota."""
    room = 6 * GIB + 900 * MIB
    fitting = fit(USUAL, NOTHING, round(room / SHARE) + SPARED, SPARED)
    assert fitting.promised == USUAL.promised
    assert fitting.outcomes == fitting.dead == pytest.approx(450 * MIB, abs=2)


def test_then_the_rest_shrinks_too() -> None:
    """On a small disk results and dead letters keep a sixteenth of the room each."""
    fitting = fit(USUAL, NOTHING, round(1.6 * GIB / SHARE) + SPARED, SPARED)
    assert fitting.outcomes == fitting.dead == round(1.6 * GIB / 16)
    assert fitting.calls == fitting.later == fitting.callbacks
    assert 1.3 * GIB < sum(fitting.promised) < 1.45 * GIB


def test_accepted_calls_are_never_cut_into() -> None:
    """A disk that others have filled leaves to each stream what lies in it."""
    stored = Quotas(1 * GIB, 300 * MIB, 0, 400 * MIB, 0)
    fitting = fit(USUAL, stored, 0, SPARED)
    assert (fitting.calls, fitting.later, fitting.callbacks) == (1 * GIB, 300 * MIB, LEAST_BYTES)
    assert fitting.outcomes == fitting.dead == LEAST_BYTES


def test_what_is_stored_counts_as_room() -> None:
    """A restart on a store that has grown meanwhile finds the same quotas."""
    empty = fit(USUAL, NOTHING, 3 * GIB, SPARED)
    grown = fit(USUAL, Quotas(calls=512 * MIB), 3 * GIB - 512 * MIB, SPARED)
    assert empty == grown


def test_a_quota_that_was_lowered_below_what_lies_there() -> None:
    """It holds: nothing is dropped, and what is new is refused until it is below."""
    wanted = Quotas(10 * MIB, 10 * MIB, 10 * MIB, 10 * MIB, 10 * MIB)
    assert fit(wanted, Quotas(calls=1 * GIB), 0, SPARED).calls == 10 * MIB


@given(wishes, contents, st.integers(0, 64 * GIB), st.integers(0, GIB))
def test_whatever_there_is(wanted: Quotas, stored: Quotas, free: int, spared: int) -> None:
    """No quota is over what is wanted or under its least, and together they fit if they can."""
    fitting = fit(wanted, stored, free, spared)
    assert all(
        map(
            int.__le__,
            (*fitting.promised, *fitting.droppable),
            (*wanted.promised, *wanted.droppable),
        )
    )
    lying = [
        min(each, max(held, LEAST_BYTES))
        for each, held in zip(wanted.promised, stored.promised, strict=True)
    ]
    assert all(map(int.__ge__, fitting.promised, lying))
    assert all(each >= LEAST_BYTES for each in fitting.droppable)
    room = max(round((free + stored.total - spared) * SHARE), 0)
    if sum(lying) + 2 * LEAST_BYTES <= room:
        assert fitting.total <= room
    if wanted.total <= room:
        assert fitting == wanted


@pytest.mark.parametrize("name", ["calls", "later", "callbacks", "outcomes", "dead"])
def test_no_quota_falls_to_nothing(name: str) -> None:
    """Without any room each stream can still take a little: a limit of 0 would be none."""
    assert getattr(fit(USUAL, NOTHING, 0, SPARED), name) == LEAST_BYTES
