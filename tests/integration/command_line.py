"""The command line as its users run it: a process for each command."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any

from daemon import Daemon, Output


class _Command(Output):
    """A command under way; what it prints is kept apart from what it says about it."""

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self.printed = b""

    def outReceived(self, data: bytes) -> None:
        self.printed += data
        super().outReceived(data)

    def errReceived(self, data: bytes) -> None:
        self.errors += data.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Printed:
    """What a command left behind."""

    status: int
    printed: bytes
    said: str

    @property
    def text(self) -> str:
        return self.printed.decode()


class Running(_Command):
    """A command that is run."""

    def __init__(
        self, reactor: Any, daemon: Daemon, *arguments: str, stdin: bytes = b"", **environment: str
    ) -> None:
        super().__init__(reactor)
        here = f"http://127.0.0.1:{daemon.port}"
        reactor.spawnProcess(
            self,
            sys.executable,
            [sys.executable, "-m", "faasd_async.cli", *arguments],
            env={**os.environ, "FAASD_ASYNC_URL": here, **environment},
        )
        transport: Any = self.transport
        transport.write(stdin)
        transport.closeStdin()


async def command(
    reactor: Any, daemon: Daemon, *arguments: str, stdin: bytes = b"", **environment: str
) -> Printed:
    """Run one to its end."""
    running = Running(reactor, daemon, *arguments, stdin=stdin, **environment)
    status = await running.ended()
    return Printed(status, running.printed, running.errors)
