"""Calls that follow from others, through the daemon."""

from __future__ import annotations

import json
import re
import signal
from typing import Any

import pytest_twisted
from daemon import StartDaemon
from listener import Listener, Received, at
from raw_http import Conversation
from test_call_events import follow, is_in, states
from test_call_status import Sheet, accepted, status, until, waiting
from test_calls import function
from test_dead_letters import told


@pytest_twisted.ensureDeferred
async def test_the_answer_of_one_function_is_the_call_of_the_next(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Under one id, with body and status, and at last to somebody who wanted to know; though the
    daemon dies between the two."""
    config = function("one", listener) + function("two", listener)
    daemon = await start_daemon(config)
    last = listener.url("/told")

    def answer(request: Received) -> None:
        if request.target == b"/one/":
            request.answer(200, b"of one", X_Callback_Url=last)
        elif request.target == b"/two/deep?x=1":
            request.answer(201, b"of two")
        else:
            request.answer()

    listener.on_request = answer
    following = daemon.url("/async-function/two/deep?x=1")
    await daemon.request("/system/function/two/pause", Host="localhost")
    receipt = await daemon.request("/async-function/one", b"begin", X_Callback_Url=following)
    # By then the id may mean the next call, which waits for somebody to resume it.
    ended = await daemon.get(f"{receipt.header('Location')}/result?accept=0&wait=30s")
    assert ended.status == 200
    await daemon.kill()
    daemon = await start_daemon(config, port=daemon.port)
    await daemon.request("/system/function/two/resume", Host="localhost")
    (end,) = await listener.when(1, at("/told"))
    assert await daemon.stop() == 0
    (second,) = [each for each in listener.requests if at("/two/deep")(each)]
    assert (second.body, second.header("X-Function-Status")) == (b"of one", "200")
    assert (end.body, end.header("X-Function-Status")) == (b"of two", "201")
    ids = {each.header("X-Call-Id") for each in listener.requests}
    assert ids == {receipt.header("X-Call-Id")}


@pytest_twisted.ensureDeferred
async def test_who_asks_for_a_call_is_not_given_the_one_that_follows(
    start_daemon: StartDaemon, listener: Listener, reactor: Any
) -> None:
    """Who began to wait or listen before there was one has the first end; who comes later and
    names the id alone is told of the next call, and of the first by how it was accepted."""
    running: list[Received] = []
    listener.on_request = running.append
    daemon = await start_daemon(function("one", listener) + function("two", listener))
    await daemon.request("/system/function/two/pause", Host="localhost")
    where = await accepted(daemon, "one", X_Callback_Url=daemon.url("/async-function/two"))
    await listener.when(1)
    polling, events = await waiting(daemon, where), await follow(reactor, daemon, where)
    await is_in(events, "running")
    running[0].answer(200, b"of one")
    early = await polling
    assert (early.status, early.body) == (200, b"of one")
    await events.when_answers(1)
    assert states(events) == ["running", "succeeded"]
    await until(daemon, f"{where}?accept=0", was_called_back)
    newest = await status(daemon, where)
    assert (newest["function"], newest["state"]) == ("two", "queued")
    assert (await daemon.get(f"{where}/result")).status == 202
    late = await daemon.get(f"{where}/result?accept=0")
    assert (late.status, late.body) == (200, b"of one")
    again = await follow(reactor, daemon, where, last_event(events))
    await is_in(again, "queued")
    await daemon.request("/system/function/two/resume", Host="localhost")
    (*_, second) = await listener.when(2)
    second.answer(200, b"of two")
    await again.when_answers(1)
    assert states(again) == ["queued", "running", "succeeded"]
    for which, known in ((where, again), (f"{where}?accept=0", events)):
        knows_all = await follow(reactor, daemon, which, last_event(known))
        assert (await knows_all.when_answers(1))[0].status == 204
    knows_one = await follow(reactor, daemon, where, last_event(events))
    await knows_one.when_answers(1)
    assert states(knows_one) == ["succeeded"]
    assert await daemon.stop() == 0


def last_event(events: Conversation) -> tuple[str, str]:
    """What a browser sends that has heard of these."""
    return "Last-Event-ID", re.findall(rb"^id: (\S+)$", events.received, re.MULTILINE)[-1].decode()


@pytest_twisted.ensureDeferred
async def test_a_function_that_is_gone_when_its_turn_comes_may_come_back(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Its call is offered again until then; a function that was never there is refused at once."""
    one, two = function("one", listener), function("two", listener)
    often = "[callback]\nmin_wait = '100ms'\nmax_wait = '200ms'\nattempts = 1000\n"
    running: list[Received] = []
    listener.on_request = lambda request: (
        running.append(request) if at("/one/")(request) else request.answer()
    )
    daemon = await start_daemon(often + one + two)
    nobody = daemon.url("/async-function/nobody")
    refused = await daemon.request("/async-function/one", X_Callback_Url=nobody)
    assert (refused.status, b"X-Callback-Url: " in refused.body) == (400, True)
    where = await accepted(daemon, "one", X_Callback_Url=daemon.url("/async-function/two"))
    await listener.when(1)
    daemon.configure(often + one)
    daemon.signal(signal.SIGHUP)
    await daemon.says("1 functions are deployed now")
    running[0].answer(200, b"of one")
    sheet = await until(daemon, where, was_tried)
    assert "no function is called two" in sheet["callback"]["error"]
    daemon.configure(often + one + two)
    daemon.signal(signal.SIGHUP)
    (second,) = await listener.when(1, at("/two/"))
    assert second.body == b"of one"
    assert await daemon.stop() == 0


def was_tried(sheet: Sheet) -> bool:
    return bool(sheet["callback"]["tries"])


def was_called_back(sheet: Sheet) -> bool:
    return bool(sheet["callback"]["state"] == "delivered")


@pytest_twisted.ensureDeferred
async def test_a_function_that_calls_itself_for_ever_is_stopped(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """After so many calls; the last callback is a dead letter."""
    daemon = await start_daemon("[callback]\nmax_hops = 3\n" + function("f", listener))
    again = daemon.url("/async-function/f")
    listener.on_request = lambda request: request.answer(200, b"x", X_Callback_Url=again)
    await daemon.request("/async-function/f", b"x", X_Callback_Url=again)
    await daemon.says("is given up after 1 tries: ")
    (letter,) = (await told(daemon, "GET", "/system/dead-letters"))["dead_letters"]
    assert (letter["kind"], letter["reason"], letter["status"]) == ("callback", "looped", 508)
    assert await daemon.stop() == 0
    assert [request.header("X-Call-Hops") for request in listener.requests] == [None, "1", "2", "3"]
    assert json.dumps(letter)


@pytest_twisted.ensureDeferred
async def test_an_answer_that_is_no_call_of_the_next_function_is_a_dead_letter(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """At once, for it stays one: the answer is larger than the next function takes."""
    one, two = function("one", listener), function("two", listener, "max_body = 10")
    daemon = await start_daemon(one + two)
    listener.on_request = lambda request: request.answer(200, b"more than ten bytes")
    where = await accepted(daemon, "one", X_Callback_Url=daemon.url("/async-function/two"))
    await daemon.says("is given up after 1 tries: ")
    (letter,) = (await told(daemon, "GET", "/system/dead-letters?reason=refused"))["dead_letters"]
    assert (letter["kind"], letter["status"], letter["function"]) == ("callback", 413, "one")
    assert "at most 10 bytes" in letter["error"]
    assert (await status(daemon, where))["callback"]["state"] == "given_up"
    assert await daemon.stop() == 0


@pytest_twisted.ensureDeferred
async def test_names_of_the_gateway_mean_this_daemon(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """As functions of OpenFaaS call it: a queued call follows at once, any other comes in by the
    daemon's own door."""
    config = "aliases = ['gateway', 'door.example.com']\n"
    daemon = await start_daemon(config + function("one", listener) + function("two", listener))
    listener.on_request = lambda request: request.answer(200, request.body + b"!")
    for number, url in enumerate(
        ("http://gateway:8080/async-function/two/a", "http://door.example.com/function/two/b?c=d"),
        1,
    ):
        await daemon.request("/async-function/one", b"x", X_Callback_Url=url)
        await listener.when(number, lambda each: each.target.startswith(b"/two"))
    assert [each.target for each in listener.requests if each.target.startswith(b"/two")] == [
        b"/two/a",
        b"/two/b?c=d",
    ]
    refused = await daemon.request(
        "/async-function/one", b"x", X_Callback_Url="http://gateway:8080/system/functions"
    )
    assert refused.status == 403
