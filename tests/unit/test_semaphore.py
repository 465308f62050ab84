"""Tokens that can be had at once."""

from __future__ import annotations

from faasd_async.semaphore import Semaphore


def test_a_token_taken_at_once_is_as_good_as_any() -> None:
    """It counts, and goes back as others do: to whoever waits first."""
    semaphore = Semaphore(2)
    assert semaphore.take()
    assert semaphore.acquire().called
    assert not semaphore.take()
    waiting = semaphore.acquire()
    assert not waiting.called
    semaphore.release()
    assert waiting.called
    assert not semaphore.take()
    semaphore.release()
    assert semaphore.take()
