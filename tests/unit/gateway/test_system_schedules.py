"""The schedules, as an operator sees and changes them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from front_door import NOW_NS, FrontDoor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import fail

from faasd_async.errors import QueueUnavailable
from faasd_async.queue.interface import Tick
from faasd_async.settings import ScheduleSettings

HERE = IPv4Address("TCP", "127.0.0.1", 40123)
CRON = ScheduleSettings(cron="0 9 * * *", timezone="Europe/Berlin", missed="once")


def ask(door: FrontDoor, method: str, target: str) -> tuple[int, Any]:
    """As somebody at this machine."""
    client = door.client(HERE)
    client.send(
        f"{method} /system/schedules{target} HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Length: 0\r\n\r\n".encode()
    )
    answer = client.answer()
    if answer.header("Content-Type") == b"application/json":
        return answer.status, json.loads(answer.body)
    return answer.status, answer.body


def test_the_schedules_are_listed(door: FrontDoor) -> None:
    """Those of functions that have one, with when they come next and came last."""
    door.deploy("daily", schedule=CRON)
    line = {
        "function": "daily",
        "schedule": "0 9 * * *",
        "timezone": "Europe/Berlin",
        "missed": "once",
        "removed": False,
        "next": "2023-11-15T08:00:00.000000Z",
        "seen_to": None,
    }
    assert ask(door, "GET", "") == (200, {"schedules": [line]})
    door.queue.schedules.note("daily", Tick(CRON.name, 1_700_000_000 * 10**9))
    line["seen_to"] = "2023-11-14T22:13:20.000000Z"
    assert ask(door, "GET", "") == (200, {"schedules": [line]})
    door.queue.schedules.note("daily", Tick("another", 1))
    assert ask(door, "GET", "")[1]["schedules"][0]["seen_to"] is None


def test_a_schedule_is_removed_and_restored(door: FrontDoor) -> None:
    """What comes meanwhile was not missed: it goes on from the moment it is restored."""
    door.deploy("daily", schedule=CRON)
    status, line = ask(door, "DELETE", "/daily.openfaas-fn")
    assert (status, line["removed"], line["next"]) == (200, True, None)
    status, line = ask(door, "POST", "/daily/restore")
    assert (status, line["removed"]) == (200, False)
    found: list[Tick | None] = []
    door.queue.schedules.last("daily").addCallback(found.append)
    assert found == [Tick(CRON.name, NOW_NS)]


@pytest.mark.parametrize("name", ["f", "nobody"])
def test_only_what_has_a_schedule_can_lose_it(door: FrontDoor, name: str) -> None:
    """404."""
    assert ask(door, "DELETE", f"/{name}")[0] == 404
    assert ask(door, "POST", f"/{name}/restore")[0] == 404


def test_a_queue_that_is_away(door: FrontDoor) -> None:
    """503, whatever was asked."""
    door.deploy("daily", schedule=CRON)
    schedules: Any = door.queue.schedules
    schedules.removed = schedules.note = lambda *_: fail(QueueUnavailable("away"))
    for method, target in (("GET", ""), ("DELETE", "/daily"), ("POST", "/daily/restore")):
        assert ask(door, method, target)[0] == 503
