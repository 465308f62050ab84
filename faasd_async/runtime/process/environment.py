"""What a function finds in its environment.

It is built from nothing. Of the daemon's own only what :data:`INHERITED` lists is handed on: the
rest holds the daemon's secrets (``NATS_*``, ``CREDENTIALS_DIRECTORY``, a proxy's password), its
place under systemd (``LISTEN_FDS``, ``NOTIFY_SOCKET``, ``WATCHDOG_*``, ``INVOCATION_ID``,
``JOURNAL_STREAM``), or what is no function's business.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping

from faasd_async.runtime.interface import Invocation
from faasd_async.settings.programs import FALLBACK_PATH

Environment = dict[bytes, bytes]

INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")

_NAME = re.compile(rb"[A-Za-z0-9-]+")
#: ``Http_Proxy`` would tell Python's urllib, and whoever else ignores case, where to send the
#: function's own requests (the "httpoxy" hole); the others are told from the body itself.
_WITHHELD = frozenset((b"proxy", b"content-length", b"transfer-encoding"))


def lasting(
    daemon: Mapping[str, str],
    configured: Mapping[str, str],
    account: pwd.struct_passwd | None = None,
) -> Environment:
    """What is the same for every call.

    :param daemon: the daemon's own environment.
    :param configured: the function's ``environment``; it wins.
    :param account: who the function runs as, if that is somebody else than the daemon.
    """
    inherited = {name: daemon[name] for name in INHERITED if name in daemon}
    if account is not None:
        inherited |= {"HOME": account.pw_dir, "USER": account.pw_name, "LOGNAME": account.pw_name}
    merged = {"PATH": FALLBACK_PATH, **inherited, **configured}
    return {os.fsencode(name): os.fsencode(value) for name, value in merged.items()}


def of_invocation(invocation: Invocation) -> Environment:
    """The request in of-watchdog's variables.

    ``Http_Path`` is the path as it came, not decoded. Of several fields with one name the first
    counts. Names are written in one case (``Http_X_Call_Id``), whatever the caller did; a name with
    an underscore or any other odd character has no variable, for it could pass as another one.
    """
    path, mark, query = invocation.target.partition(b"?")
    variables = {
        b"Http_Method": invocation.method,
        b"Http_Path": path,
        b"Http_Content_Length": b"%d" % len(invocation.body),
    }
    if mark:
        variables[b"Http_Query"] = query
    for name, value in invocation.headers:
        if _NAME.fullmatch(name) and name.lower() not in _WITHHELD:
            parts = (part.capitalize() for part in name.split(b"-"))
            variables.setdefault(b"Http_" + b"_".join(parts), value)
    return {name: value.replace(b"\0", b"") for name, value in variables.items()}
