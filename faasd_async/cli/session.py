"""What each command is given, and how it is run: within a reactor, with an exit code."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import click
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from faasd_async.cli.address import daemon_url
from faasd_async.cli.daemon import Credentials, Daemon, Refused, Unreachable
from faasd_async.cli.exits import Exit
from faasd_async.cli.mistakes import tell
from faasd_async.cli.screen import Screen

P = ParamSpec("P")

#: Of a daemon on this machine, as it comes.
HERE = "http://127.0.0.1:8080"

#: Nothing to say of its end: it went well.
Ended = Exit | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed before the command's own name.

    :ivar url: where the daemon is; ``None``: nobody said.
    """

    url: str | None
    credentials: Path | None
    as_json: bool


@dataclass(frozen=True, slots=True)
class Session:
    """One command's run."""

    reactor: Any
    asked: Asked
    screen: Screen
    daemon: Daemon

    def prefer(self, url: str) -> None:
        """Talk to the daemon there, unless it was said which; empty: nobody knows better.

        :raises click.UsageError: it is no URL.
        """
        if url and self.asked.url is None:
            self.daemon.url = daemon_url(url, "provider.gateway")


Body = Callable[Concatenate[Session, P], Coroutine[Any, Any, Ended]]


def talks(body: Body[P]) -> Callable[P, None]:
    """A command that talks to a daemon: what click calls for it.

    :param body: gets the session, and then what click gives it.
    """

    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asked = click.get_current_context().find_object(Asked)
        assert asked is not None, "the group makes one"
        credentials = _credentials(asked.credentials)
        screen = Screen(as_json=asked.as_json)

        async def whole(reactor: Any) -> None:
            daemon = Daemon(reactor, asked.url or HERE, credentials)
            session = Session(reactor, asked, screen, daemon)
            interrupted = list[Exit]()
            reactor.addSystemEventTrigger(
                "before", "shutdown", interrupted.append, Exit.INTERRUPTED
            )
            end = await _ended(body(session, *args, **kwargs), screen, interrupted)
            raise SystemExit(int(end))

        react(lambda reactor: Deferred.fromCoroutine(whole(reactor)))

    return update_wrapper(run, body)


async def _ended(
    running: Coroutine[Any, Any, Ended], screen: Screen, interrupted: Sequence[Exit]
) -> Exit:
    """:param interrupted: is not empty when we are to stop, which ends our connections."""
    try:
        return await running or Exit.OK
    except Unreachable as reason:
        if interrupted:
            return interrupted[0]
        return screen.error(str(reason), Exit.UNREACHABLE)
    except Refused as refusal:
        return screen.error(str(refusal), Exit.REFUSED, status=refusal.status)
    except click.Abort:
        return screen.error("nothing was done", Exit.FAILED)
    except click.ClickException as mistake:
        return tell(mistake, screen)


def _credentials(directory: Path | None) -> Credentials | None:
    if directory is None:
        return None
    try:
        return Credentials.read(directory)
    except OSError as reason:
        raise click.UsageError(f"--credentials: {reason}") from None


def confirm(session: Session, question: str, sure: bool) -> None:
    """Ask whoever sits there, unless they said so already.

    :raises click.Abort: they would rather not.
    :raises click.UsageError: a program sits there.
    """
    if sure:
        return
    if session.screen.as_json:
        raise click.UsageError("with --json nobody is asked: say --yes")
    click.confirm(question, abort=True, err=True)
