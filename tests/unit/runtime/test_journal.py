"""The last lines of functions: bounded, numbered and told as they come."""

from __future__ import annotations

from faasd_async.runtime.journal import Follower, Journal


def journal(**bounds: int) -> Journal:
    return Journal(lambda: 7, **bounds)


def texts(journal: Journal, function: str = "a", after: int = -1) -> list[str]:
    return [line.text for line in journal.lines(function, after)]


def test_the_oldest_lines_go_first() -> None:
    """When there are too many, or they are too long."""
    kept = journal(most_lines=3, most_characters=10)
    for text in ("1", "2", "3", "4"):
        kept.keep("a", "a-1", text)
    assert texts(kept) == ["2", "3", "4"]
    kept.keep("a", "a-1", "x" * 9)
    assert texts(kept) == ["4", "x" * 9]
    kept.keep("a", "a-1", "y" * 11)
    assert texts(kept) == []
    kept.keep("a", "a-1", "5")
    assert [tuple(line) for line in kept.lines("a")] == [(6, 7, "a-1", "5")]


def test_lines_after_a_number() -> None:
    """Only those that are there still."""
    kept = journal(most_lines=3)
    assert texts(kept, after=4) == []
    for number in range(5):
        kept.keep("a", "", str(number))
    assert texts(kept, after=0) == ["2", "3", "4"]
    assert texts(kept, after=2) == ["3", "4"]
    assert texts(kept, after=4) == []
    assert texts(kept, "b") == []


def test_functions_have_nothing_to_do_with_each_other() -> None:
    """Each has its own lines, bounds and followers."""
    kept = journal(most_lines=1)
    follower, _ = kept.follow("a")
    kept.keep("b", "", "1")
    rung = follower.when_rung()
    assert not rung.called
    kept.keep("a", "", "2")
    assert rung.called
    assert (texts(kept), texts(kept, "b")) == (["2"], ["1"])


def test_a_follower_misses_no_ring() -> None:
    """One that comes while nobody waits is heard at once; several are one."""
    follower = Follower()
    follower.ring()
    follower.ring()
    assert follower.when_rung().called
    waiting = follower.when_rung()
    assert not waiting.called
    follower.ring()
    assert waiting.called
    assert not follower.when_rung().called


def test_who_left_is_told_nothing() -> None:
    """And is not counted any more."""
    kept = journal()
    follower, leave = kept.follow("a")
    assert kept.followers == 1
    leave()
    leave()
    kept.keep("a", "", "1")
    assert not follower.when_rung().called
    assert kept.followers == 0


def test_lines_of_what_is_gone_are_forgotten() -> None:
    """Its followers are let go, others stay."""
    kept = journal()
    gone, leave = kept.follow("a")
    stays, _ = kept.follow("b")
    kept.keep("a", "", "1")
    kept.forget_others({"b", "c"})
    assert texts(kept) == []
    assert (gone.is_over, stays.is_over) == (True, False)
    assert gone.when_rung().called
    leave()


def test_nobody_follows_a_daemon_that_stops() -> None:
    """Those who follow are let go, and whoever comes after them at once."""
    kept = journal()
    before, _ = kept.follow("a")
    kept.close()
    after, _ = kept.follow("a")
    assert before.is_over
    assert after.is_over
    assert before.when_rung().called
