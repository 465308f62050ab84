"""What has been tried of a call."""

from __future__ import annotations

from faasd_async.call.history import CRASHED, Attempt, History

FAILED = Attempt(at_ns=1, status=500, seconds=0.5)


def test_attempts_stand_in_their_order() -> None:
    """A history grows at its end and stays as it was for whoever holds it."""
    before = History().with_attempt(FAILED)
    after = before.with_attempt(Attempt(2, 503, 0.1))
    assert [each.status for each in after.attempts] == [500, 503]
    assert before.attempts == (FAILED,)


def test_crashes_are_attempts() -> None:
    """Each used one up, though nobody is left who knows when."""
    history = History().with_attempt(FAILED).with_crashes(2)
    assert history.attempts == (FAILED, *(Attempt(0, 0, 0.0, CRASHED),) * 2)
    assert history.with_crashes(1).crashes == 3


def test_deliveries_are_accounted_for() -> None:
    """With the time of the next attempt, and without touching the attempts."""
    history = History().with_attempt(FAILED).accounting_for(3, not_before_ns=9)
    assert (history.deliveries, history.not_before_ns) == (3, 9)
    assert history.attempts == (FAILED,)
    assert history.accounting_for(4).not_before_ns == 0
