"""``invoke``: call a function, and wait for its answer or not."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlencode

import click

from faasd_async.cli.daemon import Answer, Refused, segment
from faasd_async.cli.exits import Exit
from faasd_async.cli.fields import FIELD, PAIR
from faasd_async.cli.results import print_result, when_ended
from faasd_async.cli.session import Ended, Session, talks

#: They speak of a queued call, and make it one.
_OF_QUEUED_CALLS = frozenset(
    (
        "x-callback-url",
        "x-callback-on-failure",
        "x-delay",
        "x-not-before",
        "x-expires",
        "x-max-attempts",
    )
)

Fields = Sequence[tuple[str, str]]


@click.command()
@click.argument("name")
@click.option("-H", "--header", "fields", type=FIELD, multiple=True, help="'Name: value'.")
@click.option("--query", type=PAIR, multiple=True, help="name=value.")
@click.option("--path", default="", help="What follows the function's name: /a/b.")
@click.option("-X", "--method", default="POST", help="POST unless given.")
@click.option("-d", "--data", help="The body; else it is standard input, unless you type there.")
@click.option("--async", "queued", is_flag=True, help="Queue the call and print its id.")
@click.option("--wait", is_flag=True, help="Queue the call, wait for its end, print its result.")
@talks
async def invoke(
    session: Session,
    name: str,
    fields: Fields,
    query: Fields,
    path: str,
    method: str,
    data: str | None,
    queued: bool,
    wait: bool,
) -> Ended:
    """Call the function NAME.

    Its answer goes to standard output; an answer of 400 and more makes the exit code 1. Where the
    daemon would not call it at all, there being no such function say, it is 4.
    """
    spoken = next((each for each, _ in fields if each.lower() in _OF_QUEUED_CALLS), None)
    if spoken and not (queued or wait):
        session.screen.aside(f"{spoken} is for queued calls: --async is implied")
        queued = True
    target = segment(name) + (path and "/" + path.removeprefix("/"))
    target += "?" + urlencode(query) if query else ""
    body = _body(data)
    if queued or wait:
        return await _queue(session, target, method, fields, body, wait=wait)
    answer = await session.daemon.ask(
        method, "/function/" + target, headers=fields, body=body, patience_seconds=None
    )
    if _is_refusal(answer):
        raise Refused(answer.status, answer.reason)
    return print_result(session.screen, answer, answer.status)


def _is_refusal(answer: Answer) -> bool:
    """Whether it is the daemon's own: it does not say how long a function took."""
    no = 400 <= answer.status < 500 or answer.status == HTTPStatus.SERVICE_UNAVAILABLE
    return no and not answer.field("X-Duration-Seconds")


async def _queue(
    session: Session, target: str, method: str, fields: Fields, body: bytes, *, wait: bool
) -> Ended:
    answer = await session.daemon.ask(
        method, "/async-function/" + target, headers=fields, body=body
    )
    call_id = answer.field("X-Call-Id")
    if answer.status == HTTPStatus.GATEWAY_TIMEOUT and call_id:
        raise Refused(answer.status, f"{answer.reason}; ask after it: faasd-async call {call_id}")
    if answer.status != HTTPStatus.ACCEPTED:
        raise Refused(answer.status, answer.reason)
    if not wait:
        receipt = {"id": call_id, "location": answer.field("Location")}
        session.screen.told(receipt, call_id)
        return Exit.OK
    session.screen.aside(f"accepted as {call_id}")
    return await when_ended(session, call_id)


def _body(data: str | None) -> bytes:
    if data is not None:
        return data.encode()
    return b"" if sys.stdin.isatty() else sys.stdin.buffer.read()
