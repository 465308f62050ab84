"""``schedules``: the functions that are called at their times."""

from __future__ import annotations

import click

from faasd_async.cli.daemon import segment
from faasd_async.cli.exits import Exit
from faasd_async.cli.session import Ended, Session, talks


@click.group()
def schedules() -> None:
    """Schedules: list, remove, restore."""


@schedules.command("list")
@talks
async def list_schedules(session: Session) -> Ended:
    """Every function that has one, and when it is called next."""
    sheet = await session.daemon.order("GET", "/system/schedules")
    if session.screen.as_json:
        session.screen.data(sheet)
        return Exit.OK
    columns = ("function", "schedule", "timezone", "missed", "removed", "next")
    rows = [[each[name] for name in columns] for each in sheet["schedules"]]
    session.screen.table(columns, rows)
    return Exit.OK


@schedules.command()
@click.argument("function")
@talks
async def remove(session: Session, function: str) -> Ended:
    """Have FUNCTION not be called at its times any more."""
    sheet = await session.daemon.order("DELETE", f"/system/schedules/{segment(function)}")
    session.screen.told(sheet, f"{sheet['function']} is not called at its times any more")
    return Exit.OK


@schedules.command()
@click.argument("function")
@talks
async def restore(session: Session, function: str) -> Ended:
    """Have FUNCTION be called at its times again, from now on."""
    sheet = await session.daemon.order("POST", f"/system/schedules/{segment(function)}/restore")
    session.screen.told(sheet, f"{sheet['function']} is called next at {sheet['next']}")
    return Exit.OK
