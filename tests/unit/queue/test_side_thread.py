"""A thread for one kind of work."""

from __future__ import annotations

from threading import current_thread

from twisted.logger import capturedLogs

from faasd_async.queue.jetstream.side_thread import SideThread


def test_all_is_done_in_turn_before_it_stops() -> None:
    """In a thread of that name, and in the order in which it was given."""
    done: list[tuple[str, int]] = []
    thread = SideThread("besides")
    thread.start()
    for number in range(100):
        thread.do(lambda number=number: done.append((current_thread().name, number)))
    thread.stop()
    assert done == [("besides", number) for number in range(100)]


def test_what_fails_keeps_nothing_from_what_follows() -> None:
    """It is logged."""
    done: list[str] = []
    thread = SideThread("besides")
    thread.start()
    with capturedLogs() as events:
        thread.do(lambda: done.index("none"))
        thread.do(lambda: done.append("next"))
        thread.stop()
    assert done == ["next"]
    assert [event["log_failure"].type for event in events] == [ValueError]
