"""``calls``, ``call``, ``result``, ``cancel``: what became of calls."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import click

from faasd_async.cli.daemon import Refused, segment
from faasd_async.cli.events import EventReader
from faasd_async.cli.exits import Exit
from faasd_async.cli.results import fetch, print_outcome, when_ended
from faasd_async.cli.screen import Screen
from faasd_async.cli.session import Ended, Session, talks

#: As the daemon names them, in the order of a call's life.
STATES = (
    *("scheduled", "queued", "running", "retrying"),
    *("succeeded", "failed", "dead", "cancelled", "expired"),
)


@click.command()
@click.option("--id", "call_id", help="Those of this id.")
@click.option("--function", help="Those of this function.")
@click.option("--state", type=click.Choice(STATES), help="Those in this state.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@click.option("--after", help="From there on: what the list before said.")
@talks
async def calls(
    session: Session,
    call_id: str | None,
    function: str | None,
    state: str | None,
    limit: int,
    after: str | None,
) -> Ended:
    """The calls that wait or have ended, the one that changed last first."""
    given = {"id": call_id, "function": function, "state": state, "after": after}
    query = urlencode({name: value for name, value in given.items() if value} | {"limit": limit})
    sheet = await session.daemon.order("GET", f"/system/calls?{query}")
    if session.screen.as_json:
        session.screen.data(sheet)
        return Exit.OK
    columns = ("id", "function", "state", "status", "seconds", "attempts", "changed")
    session.screen.table(columns, [[each[name] for name in columns] for each in sheet["calls"]])
    if "next" in sheet:
        session.screen.aside(f"there may be more: --after {sheet['next']}")
    return Exit.OK


@click.command()
@click.argument("call_id")
@click.option("--follow", is_flag=True, help="Tell of each state as it comes, until the end.")
@talks
async def call(session: Session, call_id: str, follow: bool) -> Ended:
    """How the call CALL_ID is."""
    path = f"/call/{segment(call_id)}"
    if not follow:
        _print_call(session.screen, await session.daemon.order("GET", path))
        return Exit.OK
    reader = EventReader()

    def tell(data: bytes) -> None:
        for text in reader.feed(data):
            _print_step(session.screen, json.loads(text))

    await session.daemon.follow(path + "/events", tell)
    return Exit.OK


@click.command()
@click.argument("call_id")
@click.option("--wait", is_flag=True, help="Until it has ended.")
@talks
async def result(session: Session, call_id: str, wait: bool) -> Ended:
    """What the call CALL_ID ended with: the function's answer, as it is."""
    if wait:
        return await when_ended(session, call_id)
    answer = await fetch(session, call_id, None)
    if answer.status == 202 and not answer.field("X-Function-Status"):
        return session.screen.error("it has not ended yet; --wait waits for it", Exit.FAILED)
    return print_outcome(session.screen, answer)


@click.command()
@click.argument("call_id")
@talks
async def cancel(session: Session, call_id: str) -> Ended:
    """Have the call CALL_ID not run, or not run on."""
    answer = await session.daemon.ask("DELETE", f"/call/{segment(call_id)}")
    if answer.status != 202:
        raise Refused(answer.status, answer.reason)
    session.screen.told({"id": call_id, "cancelled": True}, f"{call_id} is cancelled")
    return Exit.OK


def _print_call(screen: Screen, sheet: dict[str, Any]) -> None:
    if screen.as_json:
        screen.data(sheet)
        return
    lines = ("id", "function", "queue", "state", "status", "error", "accepted", "started")
    rows = [(name, sheet[name]) for name in (*lines, "finished", "next_attempt")]
    callback = sheet["callback"]
    if callback is not None:
        rows.append(("callback", f"{callback['state']} after {callback['tries']} tries"))
    screen.table(("", ""), rows)
    if sheet["attempts"]:
        columns = ("number", "at", "status", "seconds", "error")
        attempts = [[each[name] for name in columns] for each in sheet["attempts"]]
        screen.table(("attempt", *columns[1:]), attempts)


def _print_step(screen: Screen, sheet: dict[str, Any]) -> None:
    if screen.as_json:
        screen.data(sheet)
        return
    made = len(sheet["attempts"])
    status = "" if sheet["status"] is None else f", status {sheet['status']}"
    screen.line(f"{sheet['state']}{status}" + (f", attempt {made}" if made else ""))
