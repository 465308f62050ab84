"""What the embedded nats-server is told, and the files it lives in.

::

    <state>/nats.lock           held by the running server, see orphan.py
    <state>/nats/               0700
        server.conf             0600, written anew at each start
        credentials             0600, user and password, kept
        server.pid              written by nats-server, for people
        address                 where it listens, while it does; for commands on this machine
        jetstream/              its store
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from faasd_async.private_files import make_private_directory, write_private

MIB = 1024 * 1024
ANY_PORT = -1
USER = "faasd-async"
_CREDENTIALS = re.compile(r"(?P<user>[\w-]+):(?P<password>[\w-]{20,})\n", re.ASCII)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the embedded server is to be run.

    :ivar state_dir: the daemon's state directory, an absolute path.
    :ivar max_file_store_bytes: what JetStream may keep on disk.
    :ivar binary: the program; found by itself if not given.
    """

    state_dir: Path
    max_file_store_bytes: int
    binary: Path | None = None
    server_name: str = "faasd-async"
    max_memory_store_bytes: int = 16 * MIB
    max_payload_bytes: int = 8 * MIB
    max_pending_bytes: int = 64 * MIB


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client has to say to be let in."""

    user: str
    password: str


class ServerFiles:
    """The paths under a state directory; making one touches no disk."""

    def __init__(self, state_dir: Path) -> None:
        self.daemon_lock = state_dir / "daemon.lock"
        self.lock = state_dir / "nats.lock"
        self.directory = state_dir / "nats"
        self.configuration = self.directory / "server.conf"
        self.credentials = self.directory / "credentials"
        self.pid = self.directory / "server.pid"
        self.address = self.directory / "address"
        # Made by nats-server when it first stores something, and kept.
        self.store = (
            self.directory / "jetstream",
            self.directory / "jetstream" / "$G",
            self.directory / "jetstream" / "$G" / "streams",
        )

    def prepare(self) -> Credentials:
        """Have the directory, and the credentials in it.

        :raises OSError: if the state directory is not to be written.
        """
        make_private_directory(self.directory)
        kept = self.read_credentials()
        if kept is not None:
            return kept
        # Whatever stood there let nobody in: a server learns its credentials when it starts.
        fresh = Credentials(USER, secrets.token_urlsafe(32))
        write_private(self.credentials, f"{fresh.user}:{fresh.password}\n".encode("ascii"))
        return fresh

    def read_credentials(self) -> Credentials | None:
        """Those there are.

        :raises OSError: they cannot be read.
        """
        try:
            kept = _CREDENTIALS.fullmatch(self.credentials.read_text("ascii", "replace"))
        except FileNotFoundError:
            return None
        return None if kept is None else Credentials(kept["user"], kept["password"])

    def write_configuration(
        self, settings: ServerSettings, credentials: Credentials, port: int
    ) -> None:
        """Write ``server.conf``.

        :param port: the one to ask for, or :data:`ANY_PORT`.
        :raises OSError: if it cannot be written.
        """
        text = f"""\
# Written by faasd-async at each start: changes made here are lost.
host: "127.0.0.1"
port: {port}
server_name: {quoted(settings.server_name)}
pid_file: {quoted(str(self.pid))}
logtime: false
max_payload: {settings.max_payload_bytes}
max_pending: {settings.max_pending_bytes}
authorization {{
  user: {quoted(credentials.user)}
  password: {quoted(credentials.password)}
}}
jetstream {{
  # nats-server makes a directory "jetstream" in here.
  store_dir: {quoted(str(self.directory))}
  max_memory_store: {settings.max_memory_store_bytes}
  max_file_store: {settings.max_file_store_bytes}
}}
"""
        write_private(self.configuration, os.fsencode(text))


def quoted(text: str) -> str:
    """Return *text* as a string of nats-server's configuration language."""
    return '"' + re.sub(r'["\\\x00-\x1f\x7f]', _escaped, text) + '"'


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character in '"\\':
        return "\\" + character
    return f"\\x{ord(character):02x}"
