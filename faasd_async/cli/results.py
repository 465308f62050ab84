"""A call's result, once it is there."""

from __future__ import annotations

from base64 import b64encode

from faasd_async.cli.daemon import Answer, Refused, segment
from faasd_async.cli.exits import Exit
from faasd_async.cli.screen import Screen
from faasd_async.cli.session import Session

#: A daemon lets nobody wait for longer in one request; so one asks again.
_ONE_WAIT_SECONDS = 30


async def when_ended(session: Session, call_id: str) -> Exit:
    """Wait for a call's end, however long it takes, and print its result."""
    while True:
        answer = await fetch(session, call_id, f"{_ONE_WAIT_SECONDS}s")
        if answer.status != 202 or answer.field("X-Function-Status"):
            return print_outcome(session.screen, answer)


async def fetch(session: Session, call_id: str, wait: str | None) -> Answer:
    """A call's result as it is now, or within the wait."""
    path = f"/call/{segment(call_id)}/result"
    return await session.daemon.ask("GET", path, query={"wait": wait}, patience_seconds=None)


def print_outcome(screen: Screen, answer: Answer) -> Exit:
    """Print what a call ended with.

    :raises Refused: there is no result, nor will there be.
    """
    told = answer.field("X-Function-Status")
    if not told:
        raise Refused(answer.status, answer.reason)
    return print_result(screen, answer, int(told))


def print_result(screen: Screen, answer: Answer, status: int) -> Exit:
    """Print a function's answer; the status too, if it is no success."""
    if screen.as_json:
        screen.data(_sheet(answer, status))
    else:
        screen.raw(answer.body)
    if status < 400:
        return Exit.OK
    screen.aside(f"the function answered {status}" if status == answer.status else f"{status}")
    return Exit.FAILED


def _sheet(answer: Answer, status: int) -> dict[str, object]:
    """An answer for programs, with its body as the daemon shows bodies."""
    try:
        body, encoding = answer.body.decode(), "utf-8"
    except UnicodeDecodeError:
        body, encoding = b64encode(answer.body).decode(), "base64"
    headers = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, values in answer.headers.getAllRawHeaders()
        for value in values
    ]
    return {"status": status, "headers": headers, "body": body, "body_encoding": encoding}
