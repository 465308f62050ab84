"""``backup`` and ``restore``: the state of a daemon, whole, in one file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from faasd_async import __version__
from faasd_async.backup.archive import ArchiveWriter
from faasd_async.backup.broker import broker_of
from faasd_async.backup.errors import BackupError
from faasd_async.backup.restoring import restore as restore_backup
from faasd_async.backup.taking import Taking
from faasd_async.cli.exits import Exit
from faasd_async.cli.options import config_option, state_dir_option
from faasd_async.cli.screen import Screen
from faasd_async.cli.session import Ended, Session, confirm, talks
from faasd_async.errors import ConfigurationError, StartError
from faasd_async.settings import Settings, load

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=_FILE)
@config_option
@state_dir_option
@talks
async def backup(session: Session, file: Path, config: str | None, state_dir: str | None) -> Ended:
    """Write all calls, results, dead letters, functions and secrets of this machine into FILE.

    The daemon may run, and may be at work. FILE is for its owner alone, for it holds the secrets
    and what callers sent; one of that name is replaced when the new one is whole.
    """
    settings = _settings(config, state_dir)
    state = Path(settings.state_dir)
    with _told(), ArchiveWriter(file) as archive, _progress("backup", session.screen) as tell:
        async with broker_of(session.reactor, state, _binary(settings)) as client:
            taken = await Taking(client, archive, tell).run(state, __version__, time.time_ns())
        archive.finish()
    sheet = {
        "file": str(file),
        "bytes": file.stat().st_size,
        "messages": taken.messages,
        "moved": taken.moved,
        "files": taken.files,
    }
    count = sum(taken.messages.values())
    session.screen.told(sheet, f"{file} holds {count} messages and {taken.files} files")
    return Exit.OK


@click.command()
@click.argument("file", type=_FILE)
@config_option
@state_dir_option
@click.option("--force", is_flag=True, help="What is there already is put aside.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@talks
async def restore(
    session: Session,
    file: Path,
    config: str | None,
    state_dir: str | None,
    force: bool,
    yes: bool,
) -> Ended:
    """Have the state of this machine's daemon, which must not run, be what FILE holds.

    Calls that waited when it was taken run when the daemon is started: what has run since then
    where it was taken runs again.
    """
    settings = _settings(config, state_dir)
    if force:
        confirm(session, f"Put what is in {settings.state_dir} aside?", yes)
    with _told(), _progress("restore", session.screen) as tell:
        aside = await restore_backup(
            session.reactor,
            file,
            Path(settings.state_dir),
            force=force,
            binary=_binary(settings),
            tell=tell,
        )
    if aside is not None:
        session.screen.aside(f"what was there is in {aside} now")
    sheet = {
        "file": str(file),
        "state_dir": settings.state_dir,
        "replaced": None if aside is None else str(aside),
    }
    session.screen.told(sheet, f"{settings.state_dir} holds what {file} holds: start the daemon")
    return Exit.OK


def _settings(config: str | None, state_dir: str | None) -> Settings:
    """
    :raises click.UsageError: they cannot be used, or the state is not here.
    """
    try:
        settings = load(config, os.environ, state_dir=state_dir)
    except ConfigurationError as reason:
        raise click.UsageError(str(reason)) from None
    if settings.queue.backend == "memory" or not settings.nats.embedded:
        raise click.UsageError(
            "the calls are not in the state directory: back up the NATS server that has them (nats"
            " account backup), and functions and secrets of the state directory beside it"
        )
    return settings


def _binary(settings: Settings) -> Path | None:
    return None if settings.nats.binary is None else Path(settings.nats.binary)


@contextmanager
def _told() -> Iterator[None]:
    """What cannot be done is told in a line.

    :raises click.ClickException: it was not done.
    """
    try:
        yield
    except (BackupError, StartError) as reason:
        raise click.ClickException(str(reason)) from reason
    except OSError as error:
        what = f"{error.filename or 'the disk'}: {error.strerror}"
        raise click.ClickException(what) from error


@contextmanager
def _progress(what: str, screen: Screen) -> Iterator[Callable[[int, int], None]]:
    """A bar, where somebody looks."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=screen.as_json,
    ) as progress:
        task = progress.add_task(what, total=None)

        def tell(done: int, total: int) -> None:
            progress.update(task, completed=done, total=max(done, total))

        yield tell
