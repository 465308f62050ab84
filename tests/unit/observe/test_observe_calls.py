"""What an operator sees of calls: lines, figures, and no secrets."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import pytest
from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent

from faasd_async.call.callback_url import parse
from faasd_async.call.ending import Ending, State
from faasd_async.call.history import Attempt, History
from faasd_async.call.ids import CallKey
from faasd_async.call.request import CallbackRequest, Outcome, QueueRequest
from faasd_async.observe.calls import SHOWN_BYTES, CallWatch
from faasd_async.observe.figures import Figures

SECRET_FIELD = (b"Authorization", b"Bearer s3cr3t")
KEY = CallKey("call-1", "0")
REQUEST = QueueRequest(
    function="f",
    queue="slow",
    key=KEY,
    start_time_ns=1,
    target=b"/?token=s3cr3t",
    headers=[SECRET_FIELD],
    body=b"request body",
    callback=parse(b"http://u:s3cr3t@h/"),
)
OUTCOME = Outcome(500, [SECRET_FIELD], b"response body", 0.25)
TRIED = History(tuple(Attempt(number, 500, 0.25) for number in range(2)))
DEAD = Ending("dead", OUTCOME, TRIED, 1, "exhausted")
CALLBACK = CallbackRequest(
    "f", KEY, parse(b"http://u:s3cr3t@h/back"), [SECRET_FIELD], b"callback body"
)


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    with capturedLogs() as events:
        yield events


def everything(watch: CallWatch) -> None:
    watch.accepted(REQUEST)
    watch.invoked("f", "call-1", 200, 0.5)
    watch.attempted(REQUEST, OUTCOME, 2)
    watch.ended(REQUEST, DEAD, True)
    watch.given_back(REQUEST, "it is busy", 1.5)
    watch.called_back(CALLBACK, 204, 0.125)
    watch.callback_failed(CALLBACK, "status 500", 1, 5.0)
    watch.callback_given_up(CALLBACK, "status 500", 3)


def figures_of(figures: Figures) -> dict[str, float]:
    text, _ = figures.render()
    lines = (line for line in text.decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_each_event_is_a_line_with_the_calls_id(events: list[LogEvent]) -> None:
    """Levels say who has to care."""
    everything(CallWatch(Figures(), write_debug=False))
    assert [(event["log_level"], formatEvent(event)) for event in events] == [
        (LogLevel.debug, "call call-1 for f accepted, 12 bytes"),
        (LogLevel.info, "call call-1: f answered its caller 200 in 0.500000 s"),
        (LogLevel.info, "call call-1: f answered 500 in 0.250000 s, attempt 2"),
        (
            LogLevel.warn,
            "call call-1 of f is a dead letter now: exhausted after 2 attempts, 500",
        ),
        (LogLevel.warn, "call call-1: f could not be tried (it is busy), again in 1.5 s"),
        (LogLevel.info, "callback of call-1 from f to http://h/back: 204 in 0.125000 s"),
        (
            LogLevel.warn,
            "callback of call-1 from f to http://h/back failed: status 500, try 1, again in 5.0 s",
        ),
        (
            LogLevel.error,
            "callback of call-1 from f to http://h/back is given up after 3 tries: status 500",
        ),
    ]
    assert {event["call_id"] for event in events} == {"call-1"}


def test_why_there_was_no_answer(events: list[LogEvent]) -> None:
    """Stands behind the status that says so."""
    CallWatch(Figures(), False).attempted(REQUEST, Outcome(504, (), b"", 1.0, "too slow"), 1)
    assert formatEvent(events[0]).endswith("attempt 1 (too slow)")


def test_a_call_that_was_never_tried_has_its_reason(events: list[LogEvent]) -> None:
    """Where there is no dead letter the line says so."""
    why = Outcome(504, (), b"", 0.0, "it had not begun in time")
    ending = Ending("expired", why, History(), 1, "expired")
    CallWatch(Figures(), False).ended(REQUEST, ending, False)
    assert [(event["log_level"], formatEvent(event)) for event in events] == [
        (
            LogLevel.warn,
            "call call-1 of f has failed, and no dead letter is kept: expired after 0 attempts, 504"
            " (it had not begun in time)",
        )
    ]


@pytest.mark.parametrize("state", ["succeeded", "cancelled"])
def test_an_end_that_is_no_failure_is_counted_alone(events: list[LogEvent], state: State) -> None:
    """Its attempt had a line; what was cancelled was cancelled by somebody."""
    figures = Figures()
    CallWatch(figures, False).ended(REQUEST, Ending(state, OUTCOME, TRIED, 1), False)
    assert events == []
    assert figures_of(figures)[
        "queue_worker_messages_processed_total"
        f'{{function_name="f",queue_name="slow",state="{state}"}}'
    ]


def test_attempts_are_not_ends() -> None:
    """A call that is tried again is not processed yet."""
    figures = Figures()
    watch = CallWatch(figures, False)
    watch.attempted(REQUEST, OUTCOME, 1)
    watch.attempted(REQUEST, OUTCOME, 2)
    seen = figures_of(figures)
    assert seen['gateway_function_invocation_total{code="500",function_name="f"}'] == 2
    assert not [name for name in seen if "messages_processed" in name]


def test_bodies_are_not_shown(events: list[LogEvent]) -> None:
    """Unless somebody asked for them."""
    everything(CallWatch(Figures(), write_debug=False))
    assert not re.search("(request|response|callback) body", str(events))


def test_bodies_may_be_shown(events: list[LogEvent]) -> None:
    """Request and response, up to a bound, whatever bytes they are."""
    watch = CallWatch(Figures(), write_debug=False)
    watch.write_debug = True
    watch.accepted(REQUEST)
    watch.attempted(REQUEST, Outcome(200, (), b"\xff" + b"x" * SHOWN_BYTES, 0.0), 1)
    shown = [event["body"] for event in events if "body" in event]
    assert shown == ["request body", "\\xff" + "x" * (SHOWN_BYTES - 1)]


@pytest.mark.parametrize("write_debug", [False, True])
def test_secrets_are_never_shown(events: list[LogEvent], write_debug: bool) -> None:
    """No header field, no query, no credentials of a callback URL."""
    everything(CallWatch(Figures(), write_debug))
    assert all("s3cr3t" not in formatEvent(event) for event in events)
    assert "s3cr3t" not in str(events)


def test_the_figures() -> None:
    """Under OpenFaaS' names, by function, status and queue."""
    figures = Figures()
    everything(CallWatch(figures, write_debug=False))
    seen = figures_of(figures)
    in_queue = '{function_name="f",queue_name="slow"}'
    assert seen['gateway_function_invocation_total{code="200",function_name="f"}'] == 1
    assert seen['gateway_function_invocation_total{code="500",function_name="f"}'] == 1
    assert seen['gateway_functions_seconds_sum{code="500",function_name="f"}'] == 0.25
    assert seen["queue_worker_messages_submitted_total" + in_queue] == 1
    ended = '{function_name="f",queue_name="slow",state="dead"}'
    assert seen["queue_worker_messages_processed_total" + ended] == 1
    for result in ("delivered", "failed", "given_up"):
        assert seen[f'faasd_async_callbacks_total{{function_name="f",result="{result}"}}'] == 1


def test_figures_are_their_daemons_own() -> None:
    """Two in one process do not count each other's calls."""
    one, other = Figures(), Figures()
    one.invoked("f", 200, 0.1)
    assert not any(figures_of(other).values())


def test_how_long_accepting_took_is_shown_by_buckets() -> None:
    """A value counts in the bucket that it is the bound of, and in each that is wider; one that
    nobody waited for counts in none."""
    figures = Figures()
    watch = CallWatch(figures, write_debug=False)
    for seconds in (0.001, 0.0011, 60.0, None):
        watch.accepted(REQUEST, seconds)
    seen = figures_of(figures)
    name = "faasd_async_accept_seconds"
    buckets = [seen[f'{name}_bucket{{le="{bound}"}}'] for bound in ("0.0005", "0.001", "0.0025")]
    assert buckets == [0, 1, 2]
    assert seen[f'{name}_bucket{{le="5.0"}}'] == 2
    assert seen[f'{name}_bucket{{le="+Inf"}}'] == seen[f"{name}_count"] == 3
    assert seen[f"{name}_sum"] == pytest.approx(60.0021)


def test_what_flushes_took_and_covered_is_shown() -> None:
    """Both as histograms."""
    figures = Figures()
    figures.flushed(64, 0.002)
    figures.flushed(1, 0.002)
    seen = figures_of(figures)
    assert seen['faasd_async_flush_promises_bucket{le="1.0"}'] == 1
    assert seen['faasd_async_flush_promises_bucket{le="64.0"}'] == 2
    assert seen["faasd_async_flush_promises_sum"] == 65
    assert seen['faasd_async_flush_seconds_bucket{le="0.001"}'] == 0
    assert seen['faasd_async_flush_seconds_bucket{le="0.0025"}'] == 2


def test_what_is_stored_and_what_is_left() -> None:
    """By stream with its quota; the disk is looked at when the figures are."""
    figures = Figures()
    left: list[int | None] = [5000, None]
    figures.watch_disk(lambda: left[0])
    figures.stored("FAAS_CALLS", 300, 2, 1000)
    seen = figures_of(figures)
    assert seen['faasd_async_stream_bytes{stream="FAAS_CALLS"}'] == 300
    assert seen['faasd_async_stream_messages{stream="FAAS_CALLS"}'] == 2
    assert seen['faasd_async_stream_quota_bytes{stream="FAAS_CALLS"}'] == 1000
    assert seen["faasd_async_disk_free_bytes"] == 5000
    left.pop(0)
    assert math.isnan(figures_of(figures)["faasd_async_disk_free_bytes"])


def test_figures_are_text_for_prometheus() -> None:
    """With the content type it expects."""
    text, content_type = Figures().render()
    assert content_type.startswith("text/plain")
    assert b"# TYPE gateway_functions_seconds histogram" in text
