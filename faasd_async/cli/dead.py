"""``dead``: the calls that did not succeed and the callbacks that did not arrive."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from faasd_async.cli.daemon import decoded, segment
from faasd_async.cli.exits import Exit
from faasd_async.cli.fields import FIELD
from faasd_async.cli.session import Ended, Session, confirm, talks

_PATH = "/system/dead-letters"

_function = click.option("--function", help="Of this function only.")
_kind = click.option("--kind", type=click.Choice(["call", "callback"]), help="Of this kind only.")
_reason = click.option(
    "--reason", help="failed, exhausted, crashed, expired, orphaned, unreadable, …"
)
_all = click.option("--all", "everything", is_flag=True, help="All there are.")


@click.group()
def dead() -> None:
    """Dead letters: list, show, replay, purge."""


@dead.command("list")
@_function
@_kind
@_reason
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--after", help="Where the page before ended.")
@talks
async def list_letters(
    session: Session,
    function: str | None,
    kind: str | None,
    reason: str | None,
    limit: int,
    after: str | None,
) -> Ended:
    """What there is, oldest first."""
    query = {"function": function, "kind": kind, "reason": reason, "after": after}
    page = await session.daemon.order("GET", _PATH, query=query | {"limit": str(limit)})
    screen = session.screen
    if screen.as_json:
        screen.data(page)
        return Exit.OK
    columns = ("id", "kind", "function", "reason", "status", "ended", "error")
    letters = page["dead_letters"]
    screen.table(columns, [[each.get(name) for name in columns] for each in letters])
    if page.get("next"):
        screen.aside(f"there are more: --after {page['next']}")
    return Exit.OK


@dead.command()
@click.argument("call_id")
@click.option("--secrets", is_flag=True, help="Show Authorization, Cookie and their like.")
@talks
async def show(session: Session, call_id: str, secrets: bool) -> Ended:
    """One of them, whole, with its body and every attempt."""
    query = {"secrets": "1"} if secrets else None
    session.screen.data(await session.daemon.order("GET", _path(call_id), query=query))
    return Exit.OK


@dead.command()
@click.argument("call_ids", nargs=-1)
@_function
@_kind
@_reason
@_all
@click.option("-H", "--header", "fields", type=FIELD, multiple=True, help="Change a header field.")
@click.option("--without", multiple=True, metavar="NAME", help="Take a header field out.")
@click.option("--callback-url", help="Send the answer there instead.")
@talks
async def replay(
    session: Session,
    call_ids: Sequence[str],
    function: str | None,
    kind: str | None,
    reason: str | None,
    everything: bool,
    fields: Sequence[tuple[str, str]],
    without: Sequence[str],
    callback_url: str | None,
) -> Ended:
    """Put them back into the queue: those of CALL_IDS, or all that the options describe."""
    query = _picked(call_ids, function, kind, reason, everything)
    paths = [_path(each) + "/replay" for each in call_ids] or [_PATH + "/replay"]
    edits = _edits(fields, without, callback_url)
    body = json.dumps(edits).encode() if edits else None
    replayed, failed = 0, []
    for path in paths:
        answer = decoded(await session.daemon.ask("POST", path, query=query, body=body))
        replayed += answer["replayed"]
        failed += answer["failed"]
    if session.screen.as_json:
        session.screen.data({"replayed": replayed, "failed": failed})
    else:
        session.screen.line(f"{replayed} replayed, {len(failed)} not")
        for each in failed:
            session.screen.aside(json.dumps(each))
    return Exit.FAILED if failed else Exit.OK


@dead.command()
@click.argument("call_ids", nargs=-1)
@_function
@_kind
@_reason
@_all
@click.option("--yes", is_flag=True, help="Do not ask.")
@talks
async def purge(
    session: Session,
    call_ids: Sequence[str],
    function: str | None,
    kind: str | None,
    reason: str | None,
    everything: bool,
    yes: bool,
) -> Ended:
    """Throw them away: those of CALL_IDS, or all that the options describe."""
    query = _picked(call_ids, function, kind, reason, everything)
    confirm(session, "They are gone for good then. Go on?", yes)
    purged = 0
    for path in [_path(each) for each in call_ids] or [_PATH]:
        purged += (await session.daemon.order("DELETE", path, query=query))["purged"]
    session.screen.told({"purged": purged}, f"{purged} purged")
    return Exit.OK


def _path(call_id: str) -> str:
    return f"{_PATH}/{segment(call_id)}"


def _picked(
    call_ids: Sequence[str],
    function: str | None,
    kind: str | None,
    reason: str | None,
    everything: bool,
) -> dict[str, str | None]:
    """What tells letters from others, for the daemon.

    :raises click.UsageError: nothing does.
    """
    described: dict[str, str | None] = {"function": function, "kind": kind, "reason": reason}
    if not call_ids and not any(described.values()) and not everything:
        raise click.UsageError("name call ids, or describe them by options, or say --all")
    if call_ids and (function or reason or everything):
        raise click.UsageError("call ids, or options that describe them: not both")
    return described | {"all": "true" if everything else None}


def _edits(
    fields: Sequence[tuple[str, str]], without: Sequence[str], callback_url: str | None
) -> dict[str, Any]:
    edits: dict[str, Any] = {}
    headers: dict[str, str | None] = dict(fields) | dict.fromkeys(without)
    if headers:
        edits["headers"] = headers
    if callback_url is not None:
        edits["callback_url"] = callback_url
    return edits
