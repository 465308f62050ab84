"""What keeps the process of a function in: ``setpriv`` and ``prlimit`` of util-linux.

They are put before the program, do their work, and become it: what is limited is limited from the
first instruction on, and the daemon runs no code of its own between fork and exec. Each costs a
call half a millisecond, so neither is used where nothing was asked for.
"""

from __future__ import annotations

import os
import pwd
import resource
import shutil
from collections.abc import Mapping
from typing import NamedTuple

from faasd_async.settings.mistakes import quoted
from faasd_async.settings.model import CommandSettings, LimitSettings
from faasd_async.settings.programs import FALLBACK_PATH, NotThere

#: From SIGXCPU, which says why, to SIGKILL, which cannot be ignored.
_CPU_GRACE_SECONDS = 1

_UNLIMITED = resource.RLIM_INFINITY


class Tools(NamedTuple):
    """What there is to keep processes in with; ``None``: it is not there."""

    setpriv: str | None
    prlimit: str | None


def find_tools(daemon: Mapping[str, str]) -> Tools:
    """
    :param daemon: the daemon's own environment.
    """
    path = daemon.get("PATH", FALLBACK_PATH)
    return Tools(shutil.which("setpriv", path=path), shutil.which("prlimit", path=path))


def confining(command: CommandSettings, tools: Tools) -> tuple[str, ...]:
    """What is to stand before a program: nothing, if nothing was asked for.

    :raises NotThere: what was asked for cannot be kept.
    """
    return (*_becoming(account_of(command), tools), *_limits(command.limits, tools))


def account_of(command: CommandSettings) -> pwd.struct_passwd | None:
    """Who a command runs as, if that is somebody else than the daemon.

    :raises NotThere: there is no such user, or the daemon may not become it.
    """
    name = command.user
    if name is None:
        return None
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        raise NotThere("user", quoted(name), "a user that there is") from None
    ours = os.geteuid()
    if account.pw_uid == ours:
        return None
    if ours != 0:
        raise NotThere(
            "user", f"{quoted(name)}, which only root may become", "none, or a daemon run by root"
        )
    return account


def _becoming(account: pwd.struct_passwd | None, tools: Tools) -> tuple[str, ...]:
    if account is None:
        return ()
    if tools.setpriv is None:
        raise _missing("user", quoted(account.pw_name), "setpriv")
    who = (f"--reuid={account.pw_name}", f"--regid={account.pw_gid}", "--init-groups")
    return (tools.setpriv, "--no-new-privs", *who)


def _limits(limits: LimitSettings, tools: Tools) -> tuple[str, ...]:
    asked = {
        # Not RLIMIT_AS: runtimes such as V8 and Go reserve addresses by the gigabyte and use few.
        "memory": ("data", resource.RLIMIT_DATA, limits.memory_bytes),
        "cpu_time": ("cpu", resource.RLIMIT_CPU, limits.cpu_time_seconds),
        "open_files": ("nofile", resource.RLIMIT_NOFILE, limits.open_files),
        "processes": ("nproc", resource.RLIMIT_NPROC, limits.processes),
    }
    kept = {key: each for key, each in asked.items() if each[2]}
    if not kept:
        return ()
    if tools.prlimit is None:
        key, (_, _, most) = next(iter(kept.items()))
        raise _missing(key, str(most), "prlimit")
    return (tools.prlimit, *(_option(*each) for each in kept.values()))


def _option(name: str, which: int, most: int) -> str:
    """A limit for ``prlimit``; what the daemon itself may not have it cannot give."""
    ours = resource.getrlimit(which)[1]
    hard = most + _CPU_GRACE_SECONDS if which == resource.RLIMIT_CPU else most
    if ours != _UNLIMITED:
        hard, most = min(hard, ours), min(most, ours)
    return f"--{name}={most}:{hard}"


def _missing(key: str, found: str, tool: str) -> NotThere:
    return NotThere(
        key, f"{found}, and {tool} is not on PATH to keep it", f"none, or {tool} (util-linux)"
    )
