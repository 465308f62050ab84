"""``dev``: a daemon for the functions one works on, which follows what is saved."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from faasd_async.cli.beginning import CONFIG
from faasd_async.cli.daemon import Refused, Unreachable, segment
from faasd_async.cli.exits import Exit
from faasd_async.cli.saves import Saves
from faasd_async.cli.session import Ended, Session, talks
from faasd_async.errors import ConfigurationError
from faasd_async.settings import Settings, load

_STACK = "stack.yml"

#: In a session of its own: a Ctrl-C is for us, who then stop it.
_TWISTD = "import os; os.setsid(); from twisted.scripts.twistd import run; run()"


@click.command()
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"The settings. Else it is {CONFIG} here, or {_STACK}.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True)
@talks
async def dev(session: Session, config: Path | None, port: int) -> Ended:
    """Run a daemon for the functions of this directory, until Ctrl-C.

    What it and the functions log is shown as it comes. Whatever is saved counts from the next call
    on: settings are read again, and functions that answer HTTP are started anew.
    """
    with _config(config) as settings_file:
        top = (config.parent if config else Path.cwd()).resolve()
        session.daemon.url = f"http://127.0.0.1:{port}"
        bench = _Bench(session, settings_file, top)
        ended = bench.start(port)
        saves = Saves(session.reactor, top, bench.saved, apart=bench.state_dir)
        try:
            status = await ended
        finally:
            saves.stop()
    return Exit.FAILED if status else Exit.OK


@contextmanager
def _config(given: Path | None) -> Iterator[Path]:
    """The settings there are, or some that name the stack.yml there is.

    :raises click.UsageError: there is neither.
    """
    found = given or Path(CONFIG)
    if found.exists():
        yield found.resolve()
        return
    stack = Path(_STACK).resolve()
    if not stack.exists():
        raise click.UsageError(
            f"here is neither {CONFIG} nor {_STACK}: begin with faasd-async new NAME"
        )
    with tempfile.TemporaryDirectory() as directory:
        made = Path(directory) / CONFIG
        made.write_text(f"[functions]\nstack = {json.dumps(str(stack))}\n", "utf-8")
        yield made


class _Bench(ProcessProtocol):
    """The daemon, as somebody has it who works on functions.

    :raises click.UsageError: its settings cannot be used.
    """

    def __init__(self, session: Session, config: Path, top: Path) -> None:
        self._session = session
        self._config = config
        self._top = top
        self._ended: Deferred[int] = Deferred()
        self._gone: Deferred[None] = Deferred()
        try:
            self.state_dir = Path(self._settings().state_dir)
        except ConfigurationError as reason:
            raise click.UsageError(str(reason)) from None

    def _settings(self) -> Settings:
        return load(str(self._config), os.environ)

    def start(self, port: int) -> Deferred[int]:
        """:return: fires with its exit status."""
        reactor = self._session.reactor
        reactor.spawnProcess(
            self,
            sys.executable,
            [
                *(sys.executable, "-c", _TWISTD, "-n", "--pidfile=", "faasd-async"),
                *("--config", str(self._config), "--state-dir", str(self.state_dir)),
                *("--listen", f"tcp:{port}:interface=127.0.0.1"),
            ],
            env=os.environ,
            childFDs={0: 0, 1: 1, 2: 2},
        )
        reactor.addSystemEventTrigger("before", "shutdown", self._stop)
        # The terminal is closed: that means the same.
        signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(reactor.stop))
        return self._ended

    def _stop(self) -> Deferred[None] | None:
        """Stop it, and wait; whoever is in a hurry asks twice."""
        self._signal("TERM")
        signal.signal(signal.SIGINT, lambda *_: self._signal("TERM"))
        return None if self._ended.called else self._gone

    def _signal(self, name: str) -> None:
        transport: Any = self.transport
        with suppress(ProcessExitedAlready):
            transport.signalProcess(name)

    def processEnded(self, reason: Failure) -> None:
        error: Any = reason.value
        self._ended.callback(error.exitCode or 0)
        self._gone.callback(None)

    def saved(self, files: set[Path]) -> None:
        """Have what was saved count."""
        shown = ", ".join(sorted(os.path.relpath(file, self._top) for file in files))
        self._session.screen.aside(f"saved: {shown}")
        self._signal("HUP")
        try:
            settings = self._settings()
        except ConfigurationError:
            # The daemon says what is wrong, and goes on with what it has.
            return
        for name in _servers(settings, self._top, files):
            Deferred.fromCoroutine(self._start_anew(name))

    async def _start_anew(self, name: str) -> None:
        """Have a server's next process: it has none in between."""
        try:
            for replicas in (0, 1):
                answer = await self._session.daemon.ask(
                    "POST",
                    f"/system/scale-function/{segment(name)}",
                    body=json.dumps({"serviceName": name, "replicas": replicas}).encode(),
                )
                if answer.status >= 300:
                    raise Refused(answer.status, answer.reason)
        except (Refused, Unreachable) as reason:
            self._session.screen.aside(f"{name} is not started anew: {reason}")
        else:
            self._session.screen.aside(f"{name} is started anew")


def _servers(settings: Settings, top: Path, files: set[Path]) -> Iterator[str]:
    """The functions that answer HTTP, and in whose directory something was saved."""
    for name, function in settings.functions.items():
        command = function.command
        if command is not None and command.mode == "http":
            directory = Path(command.directory or top)
            if any(file.is_relative_to(directory) for file in files):
                yield name
