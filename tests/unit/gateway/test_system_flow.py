"""Calls on their way, over REST: shown, paused, resumed and purged."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from front_door import NOW_NS, Answer, FrontDoor, request
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock

from faasd_async.call.ids import CallKey
from faasd_async.call.request import QueueRequest
from faasd_async.errors import MaybeStored, QueueError, QueueUnavailable
from faasd_async.gateway.system.flow_sheet import FlowSheet
from faasd_async.observe.figures import Figures
from faasd_async.queue.interface import Depth, OfFunction, OfQueue, Source

OPERATOR = IPv4Address("TCP", "127.0.0.1", 40123)
F, SLOW = OfFunction("f"), OfQueue("slow")


def ask(door: FrontDoor, method: str, target: str) -> Answer:
    """An operator's request."""
    client = door.client(OPERATOR)
    client.send(request(method, target, "Host: localhost"))
    return client.answer()


def told(door: FrontDoor, method: str, target: str) -> Any:
    """What an operator is told, as JSON."""
    answer = ask(door, method, target)
    assert answer.status == 200, answer.body
    assert answer.header("Content-Type") == b"application/json"
    return msgspec.json.decode(answer.body)


def put(
    door: FrontDoor, count: int, function: str = "f", queue: str = "slow"
) -> list[QueueRequest]:
    at_ns = NOW_NS - 1_500_000_000
    calls = [
        QueueRequest(function, queue, CallKey(f"{function}-{number}", "0"), at_ns, b"/", (), b"")
        for number in range(count)
    ]
    for call in calls:
        door.queue.put_call(call)
    return calls


@pytest.mark.parametrize("order", ["pause", "resume", "purge"])
@pytest.mark.parametrize("target", ["function/f", "queues/slow"])
def test_what_is_not_known_is_no_order(door: FrontDoor, target: str, order: str) -> None:
    """400, naming it, and nothing is done: whoever says more means something else."""
    put(door, 1)
    answer = ask(door, "POST", f"/system/{target}/{order}?dry_run=1")
    assert (answer.status, b"'dry_run' is not known here" in answer.body) == (400, True)
    assert door.queue.pauses.sources == frozenset()
    (line,) = told(door, "GET", "/system/queues")["queues"]
    assert line["waiting"] == 1


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/system/function/%ff/pause"),
        ("POST", "/system/queues/%ff/purge"),
        ("GET", "/system/dead-letters/%ff"),
        ("POST", "/system/schedules/%ff/restore"),
        ("DELETE", "/system/schedules/%ff"),
        ("GET", "/system/dead-letters?function=%ff&kind=%ff"),
    ],
)
def test_a_name_that_is_no_text(door: FrontDoor, method: str, target: str) -> None:
    """There is nothing that is called so, and that is said as well as it can be."""
    answer = ask(door, method, target)
    assert answer.status in (400, 404)
    assert rb"\udcff" in answer.body or rb"\xff" in answer.body


def test_what_is_paused_under_a_name_that_is_no_text_can_be_resumed(door: FrontDoor) -> None:
    """However it came to that."""
    source = OfFunction("\udcff")
    door.queue.pauses.pause(source)
    sheet = told(door, "POST", "/system/function/%ff/resume")
    assert sheet == {"function": "\ufffd", "paused": False}
    assert source not in door.queue.pauses


@pytest.mark.parametrize(
    ("target", "source", "about"),
    [
        ("function/f", F, {"function": "f"}),
        ("function/f.openfaas-fn", F, {"function": "f"}),
        ("function/%66", F, {"function": "f"}),
        ("queues/slow", SLOW, {"queue": "slow"}),
    ],
)
def test_pause_and_resume(
    door: FrontDoor, target: str, source: Source, about: dict[str, str]
) -> None:
    """Of a function, with its namespace or without, and of a queue; twice is as good as once."""
    for _ in range(2):
        assert told(door, "POST", f"/system/{target}/pause") == about | {"paused": True}
        assert source in door.queue.pauses
    for _ in range(2):
        assert told(door, "POST", f"/system/{target}/resume") == about | {"paused": False}
        assert source not in door.queue.pauses


def test_a_purge_tells_how_many_there_were(door: FrontDoor) -> None:
    """Those that run are not among them: the worker was told first, and has said which. They are
    put again, and known to have been there."""
    door.begun = put(door, 5)[:2]
    put(door, 1, "g")
    assert told(door, "POST", "/system/function/f/purge") == {"function": "f", "purged": 3}
    assert door.recalled == [F]
    assert told(door, "GET", "/system/queues")["queues"][0]["waiting"] == 2
    left, _ = door.queue.backlog.look_through(F, 0, 10).result
    assert [each.request.key for each in left] == [each.key for each in door.begun]
    assert all(each.request.not_before_ns for each in left)


def test_a_purge_of_a_queue(door: FrontDoor) -> None:
    """Whatever functions its calls are for."""
    put(door, 2)
    put(door, 1, "gone")
    put(door, 1, queue="other")
    assert told(door, "POST", "/system/queues/slow/purge") == {"queue": "slow", "purged": 3}


@pytest.mark.parametrize("order", ["pause", "resume", "purge"])
@pytest.mark.parametrize("target", ["function/g", "queues/other", "function/slow", "queues/f"])
def test_what_there_is_not_is_not_found(door: FrontDoor, target: str, order: str) -> None:
    """Nothing is ordered about it."""
    answer = ask(door, "POST", f"/system/{target}/{order}")
    assert answer.status == 404
    assert door.queue.pauses.sources == frozenset()
    assert door.recalled == []


def test_what_is_gone_can_be_resumed(door: FrontDoor) -> None:
    """A pause outlasts its function, and must not outlast the possibility to end it."""
    told(door, "POST", "/system/function/f/pause")
    told(door, "POST", "/system/queues/slow/pause")
    del door.deployments["f"]
    told(door, "POST", "/system/function/f/resume")
    told(door, "POST", "/system/queues/slow/resume")
    assert ask(door, "POST", "/system/function/f/resume").status == 404


@pytest.mark.parametrize("target", ["function/f/stop", "queues/slow", "function/f/pause/now"])
def test_other_orders_are_not_understood(door: FrontDoor, target: str) -> None:
    """There are three."""
    assert ask(door, "POST", f"/system/{target}").status == 404


@pytest.mark.parametrize("target", ["function/f/pause", "queues/slow/purge"])
def test_an_order_has_to_be_posted(door: FrontDoor, target: str) -> None:
    """Nobody pauses a function by looking at it."""
    assert ask(door, "GET", f"/system/{target}").status == 405
    assert door.queue.pauses.sources == frozenset()


@pytest.mark.parametrize(
    ("reason", "status"), [(QueueUnavailable("away"), 503), (MaybeStored("late"), 504)]
)
@pytest.mark.parametrize("order", ["pause", "resume", "purge"])
def test_an_order_that_is_not_fulfilled_is_refused(
    door: FrontDoor, order: str, reason: QueueError, status: int
) -> None:
    """With a word on when to try again."""
    part: Any = door.queue.backlog if order == "purge" else door.queue.pauses
    setattr(part, order, lambda source: fail(reason))
    answer = ask(door, "POST", f"/system/function/f/{order}")
    assert (answer.status, answer.header("Retry-After")) == (status, b"1")


def test_an_order_is_answered_when_it_is_durable(door: FrontDoor) -> None:
    """Not before."""
    paused: Deferred[None] = Deferred()
    door.queue.pauses.pause = lambda source: paused  # type: ignore[method-assign]
    client = door.client(OPERATOR)
    client.send(request("POST", "/system/function/f/pause", "Host: localhost"))
    assert client.answers() == []
    paused.callback(None)
    assert client.answer().status == 200


def test_strangers_give_no_orders(door: FrontDoor) -> None:
    """Whoever is not at this machine."""
    client = door.ask("POST", "/system/function/f/pause")
    assert client.answer().status == 403
    assert F not in door.queue.pauses


def test_the_sheet(door: FrontDoor) -> None:
    """Every queue, every function in it, and what is known of them."""
    door.deploy("a", max_inflight=3)
    door.widths = {"f": 1}
    put(door, 2)
    key = CallKey("later", "0")
    door.queue.put_later(QueueRequest("a", "slow", key, 1, b"/", (), b""), 60.0)
    told(door, "POST", "/system/function/a/pause")
    assert told(door, "GET", "/system/queues") == {
        "queues": [
            {
                "queue": "slow",
                "paused": False,
                "waiting": 2,
                "in_flight": 0,
                "oldest_seconds": 1.5,
                "scheduled": 1,
                "functions": [
                    {
                        "function": "a",
                        "paused": True,
                        "running": 0,
                        "concurrency": 3,
                        "max_inflight": 3,
                        "waiting": 0,
                        "in_flight": 0,
                        "oldest_seconds": None,
                        "scheduled": 1,
                    },
                    {
                        "function": "f",
                        "paused": False,
                        "running": 0,
                        "concurrency": 1,
                        "max_inflight": 2,
                        "waiting": 2,
                        "in_flight": 0,
                        "oldest_seconds": 1.5,
                        "scheduled": 0,
                    },
                ],
            }
        ]
    }
    door.queue.stop()


def static_sheet(door: FrontDoor) -> FlowSheet:
    return FlowSheet(door.queue, door.deployments, dict, static=True, now_ns=lambda: NOW_NS)


def test_the_sheet_in_static_mode(door: FrontDoor) -> None:
    """Calls are counted by queue; of a function alone nobody knows."""
    put(door, 2)
    read: list[Any] = []
    Deferred.fromCoroutine(static_sheet(door).read()).addCallback(read.append)
    ((queue,),) = (sheet["queues"] for sheet in read)
    assert (queue["waiting"], queue["oldest_seconds"]) == (2, 1.5)
    (function,) = queue["functions"]
    assert (function["waiting"], function["in_flight"], function["oldest_seconds"]) == (None,) * 3


# -- figures


def shown(figures: Figures) -> set[str]:
    """The figures of calls on their way."""
    text, _ = figures.render()
    wanted = ("queue_worker_pending_messages{", "faasd_async_function_concurrency{")
    return {line for line in text.decode().splitlines() if line.startswith(wanted)}


def test_figures_of_what_waits(door: FrontDoor) -> None:
    """By function, or by queue where calls are not counted by function; nothing of what is gone."""
    figures, clock = Figures(), Clock()
    put(door, 2)
    sheet = FlowSheet(
        door.queue, door.deployments, lambda: {"f": 1}, static=False, now_ns=lambda: NOW_NS
    )
    sheet.report(figures.flow, clock)
    assert shown(figures) == {
        'queue_worker_pending_messages{function_name="f",queue_name="slow"} 2.0',
        'faasd_async_function_concurrency{function_name="f"} 1.0',
    }
    static_sheet(door).report(figures.flow, clock)
    assert shown(figures) == {
        'queue_worker_pending_messages{function_name="",queue_name="slow"} 2.0'
    }
    assert clock.getDelayedCalls() == []


def test_figures_do_not_wait_for_a_queue_that_does_not_answer(door: FrontDoor) -> None:
    """They are shown without these, as they were."""
    figures, clock = Figures(), Clock()
    never: Deferred[list[Depth]] = Deferred()
    answers = [never, fail(QueueUnavailable("away"))]
    door.queue.backlog.depths = lambda sources: answers.pop(0)  # type: ignore[method-assign]
    waited = static_sheet(door).report(figures.flow, clock)
    assert not waited.called
    clock.advance(1)
    assert waited.called
    assert static_sheet(door).report(figures.flow, clock).called
    assert shown(figures) == set()
