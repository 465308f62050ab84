"""``status``, ``functions``, ``queue``: the calls on their way, in numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from faasd_async.cli.daemon import segment
from faasd_async.cli.exits import Exit
from faasd_async.cli.session import Ended, Session, confirm, talks

_NUMBERS = ("waiting", "in_flight", "scheduled", "oldest_seconds", "paused")

Sheet = dict[str, Any]


@click.command()
@talks
async def status(session: Session) -> Ended:
    """Whether the daemon is ready, and what it has to do."""
    answer = await session.daemon.ask("GET", "/readyz")
    ready, why = answer.status == 200, answer.body.decode("utf-8", "replace").strip()
    queues = (await _queues(session)) if ready else []
    if session.screen.as_json:
        session.screen.data({"ready": ready, "why": None if ready else why, "queues": queues})
    else:
        session.screen.line("ready" if ready else f"not ready: {why}")
        if queues:
            _print_queues(session, queues)
    return Exit.OK if ready else Exit.FAILED


@click.command()
@talks
async def functions(session: Session) -> Ended:
    """Every function, with its calls."""
    found = [
        each | {"queue": queue["queue"]}
        for queue in await _queues(session)
        for each in queue["functions"]
    ]
    found.sort(key=lambda each: str(each["function"]))
    if session.screen.as_json:
        session.screen.data(found)
        return Exit.OK
    columns = ("function", "queue", "running", "concurrency", "max_inflight", *_NUMBERS)
    session.screen.table(columns, [[each[name] for name in columns] for each in found])
    return Exit.OK


@click.group()
def queue() -> None:
    """Queues, and the functions in them: list, pause, resume, purge."""


@queue.command("list")
@talks
async def list_queues(session: Session) -> Ended:
    """Every queue, with its calls."""
    queues = await _queues(session)
    if session.screen.as_json:
        session.screen.data(queues)
    else:
        _print_queues(session, queues)
    return Exit.OK


def _order(verb: str, said: Callable[[Sheet], str], about: str, *, asks: bool = False) -> None:
    """One more command, that gives an order to a queue or, with ``--function``, to a function."""

    @queue.command(verb, help=about)
    @click.argument("name")
    @click.option("--function", "is_function", is_flag=True, help="NAME is a function's.")
    @click.option("--yes", is_flag=True, hidden=not asks, help="Do not ask.")
    @talks
    async def run(session: Session, name: str, is_function: bool, yes: bool) -> Ended:
        confirm(session, "No caller is told of what is purged. Go on?", yes or not asks)
        kind = "function" if is_function else "queues"
        sheet = await session.daemon.order("POST", f"/system/{kind}/{segment(name)}/{verb}")
        session.screen.told(sheet, said(sheet))
        return Exit.OK


def _named(sheet: Sheet) -> str:
    return f"{sheet.get('function') or sheet.get('queue')}"


_order("pause", lambda sheet: f"{_named(sheet)} is paused", "Let what waits in NAME wait.")
_order("resume", lambda sheet: f"{_named(sheet)} goes on", "Let NAME go on.")
_order(
    "purge",
    lambda sheet: f"{sheet['purged']} calls of {_named(sheet)} are gone",
    "Throw away what waits in NAME.",
    asks=True,
)


async def _queues(session: Session) -> list[Sheet]:
    sheet = await session.daemon.order("GET", "/system/queues")
    queues: list[Sheet] = sheet["queues"]
    return queues


def _print_queues(session: Session, queues: list[Sheet]) -> None:
    columns = ("queue", *_NUMBERS)
    rows = [[each[name] for name in columns] + [len(each["functions"])] for each in queues]
    session.screen.table((*columns, "functions"), rows)
