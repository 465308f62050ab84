"""The command line behind ``twistd faasd-async``, and the settings that it names."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from typing import Any

from twisted.python import usage

from faasd_async.errors import ConfigurationError
from faasd_async.observe.logs import Level, Lines, make_observer
from faasd_async.settings import Secret, Settings, load
from faasd_async.settings.credentials import Credentials
from faasd_async.settings.operator import read_authorization, read_credentials


class Options(usage.Options):
    """The command line behind ``twistd faasd-async``.

    :ivar settings: what was read.
    :ivar credentials: the operator's, if there is authentication.
    :ivar authorization: ours with another provider, if it is to be told any.
    :ivar observer: where the log goes; ``None`` leaves it to twistd.
    """

    synopsis = "[options]"
    longdesc = "Accepts calls of functions, keeps them safe, runs them and tells their end."
    optFlags = [["check", None, "Only check the settings: exit with 0 if they can be used, else 1"]]  # noqa: RUF012
    optParameters = [  # noqa: RUF012
        ["config", None, None, "The settings, a TOML file"],
        ["state-dir", None, None, "Where the queue is kept; over the file's state_dir"],
    ]

    settings: Settings
    credentials: Credentials | None = None
    authorization: Secret | None = None
    level: Level
    observer: Lines | None = None

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []

    def opt_listen(self, endpoint: str) -> None:
        """A Twisted endpoint string to listen on, over the file's; may be repeated"""
        self["listen"].append(endpoint)

    def postOptions(self) -> None:
        self["config"] = self["config"] and os.path.abspath(self["config"])
        self["state-dir"] = self["state-dir"] and os.path.abspath(self["state-dir"])
        try:
            self.settings = self.read_settings(self._runs_in())
            self.credentials = read_credentials(self.settings.gateway)
            self.authorization = read_authorization(self.settings.provider, self.settings.gateway)
        except ConfigurationError as reason:
            sys.stderr.write(f"{reason}\n")
            raise SystemExit(1) from None
        if self["check"]:
            sys.stdout.write("the settings can be used\n")
            raise SystemExit(0)
        log = self.settings.log
        self.level = Level(log.level)
        twistd: MutableMapping[str, Any] = self.parent or {}
        if twistd.get("nodaemon") and twistd.get("pidfile") == "twistd.pid":
            # In the foreground nobody reads it, and the state directory is locked anyway. One that
            # a power cut left behind may name some other process: twistd would not start.
            twistd["pidfile"] = ""
        if not twistd.get("syslog") and not twistd.get("logger"):
            path = twistd.get("logfile")
            if path is None and not twistd.get("nodaemon"):
                path = "twistd.log"
            path = os.path.abspath(path) if path and path != "-" else None
            self.observer = make_observer(path, log.format == "json", self.level)

    def read_settings(self, runs_in: str | None = None) -> Settings:
        """
        :param runs_in: where the daemon will run, if it is to be looked for programs.
        :raises ConfigurationError: they cannot be used.
        """
        return load(
            self["config"],
            os.environ,
            state_dir=self["state-dir"],
            listen=self["listen"],
            runs_in=runs_in,
        )

    def _runs_in(self) -> str | None:
        """Where twistd will run the daemon; ``None`` if it is another root, without our files."""
        twistd: MutableMapping[str, Any] = self.parent or {}
        return None if twistd.get("chroot") else os.path.abspath(twistd.get("rundir") or ".")
