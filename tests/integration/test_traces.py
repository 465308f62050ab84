"""A trace over the whole way of a call: door, queue, function, callback, log, status."""

from __future__ import annotations

import json

import pytest_twisted
from daemon import StartDaemon
from listener import Listener, at
from test_call_status import accepted, in_state, until
from test_calls import function

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SENT = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "rojo=1,congo=2"}


@pytest_twisted.ensureDeferred
async def test_a_trace_is_carried(start_daemon: StartDaemon, listener: Listener) -> None:
    """From accept through queue, function and callback, and the call that this is: the trace is the
    same and the span another one at each hop; status and log name it."""
    config = "[log]\nformat = 'json'\n" + function("a", listener) + function("b", listener)
    daemon = await start_daemon(config, wait_ready=False)
    await daemon.says('"message": "ready')
    callback = daemon.url("/async-function/b")
    where = await accepted(daemon, "a", X_Callback_Url=callback, **SENT)
    await daemon.request("/function/a/sync", **SENT)
    [first], [next_one] = await listener.when(1, at("/a/")), await listener.when(1, at("/b/"))
    [at_once] = await listener.when(1, at("/a/sync"))
    spans = {PARENT}
    for request in (first, next_one, at_once):
        version, trace, span, flags = (request.header("traceparent") or "").split("-")
        assert (version, trace, flags) == ("00", TRACE, "01")
        assert request.header("tracestate") == SENT["tracestate"]
        spans.add(span)
    assert len(spans) == 4
    # It shares its id with the call that followed from it.
    shown = await until(daemon, f"{where}?accept=0", in_state("succeeded"))
    assert shown["traceparent"] == first.header("traceparent")
    untraced = await accepted(daemon, "a")
    assert (await until(daemon, untraced, in_state("succeeded")))["traceparent"] is None
    assert await daemon.stop() == 0
    lines = [json.loads(line) for line in daemon.log.splitlines() if line.startswith("{")]
    told = [line["message"] for line in lines if line.get("trace_id") == TRACE]
    assert sum("answered its caller" in message for message in told) == 1
    assert sum(", attempt 1, trace " in message for message in told) == 2
    assert sum(message.startswith("callback of ") for message in told) == 1
