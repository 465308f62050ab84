"""A process's output in the log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from faasd_async.lines import LINE_BYTES
from faasd_async.runtime.process.logs import ProcessLog


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    events: list[LogEvent] = []

    def keep(event: LogEvent) -> None:
        if "stream" in event:
            events.append(event)

    globalLogPublisher.addObserver(keep)
    yield events
    globalLogPublisher.removeObserver(keep)


def test_lines_split_anywhere(events: list[LogEvent]) -> None:
    """A line is logged when it is whole, however it came in pieces."""
    text = b"one\r\n\ntwo {x}\nthr"
    for cut in range(len(text) + 1):
        events.clear()
        log = ProcessLog("figlet", "stderr", call_id="the-call")
        log.received(text[:cut])
        log.received(text[cut:])
        assert [each["line"] for each in events] == ["one", "", "two {x}"]
        log.finish()
        log.finish()
        assert [each["line"] for each in events][3:] == ["thr"]


def test_fields(events: list[LogEvent]) -> None:
    """Function, stream and call are fields; the function's name also stands before the line."""
    ProcessLog("figlet", "stderr", call_id="the-call").received(b"a {line}\n")
    [event] = events
    assert (event["function"], event["stream"], event["call_id"]) == (
        "figlet",
        "stderr",
        "the-call",
    )
    assert formatEvent(event) == "figlet: a {line}"


def test_without_prefix(events: list[LogEvent]) -> None:
    """The name before the line can be left out; it stays a field."""
    ProcessLog("figlet", "stderr", prefixed=False).received(b"a\n")
    [event] = events
    assert (formatEvent(event), event["function"]) == ("a", "figlet")


def test_bytes_that_are_no_text(events: list[LogEvent]) -> None:
    """What is not UTF-8 is shown in escapes."""
    ProcessLog("figlet", "stderr").received("ä".encode() + b"\xff\n")
    assert events[0]["line"] == "ä\\xff"


@pytest.mark.parametrize("piece_bytes", [7919, 1 << 20])
def test_endless_line_is_logged_in_parts(events: list[LogEvent], piece_bytes: int) -> None:
    """A line without an end does not grow in memory, and nothing of it is lost."""
    log = ProcessLog("figlet", "stderr")
    text = bytes(range(48, 123)) * 3000
    for start in range(0, len(text), piece_bytes):
        log.received(text[start : start + piece_bytes])
    log.finish()
    assert max(len(each["line"]) for each in events) == LINE_BYTES
    assert "".join(each["line"] for each in events) == text.decode()
